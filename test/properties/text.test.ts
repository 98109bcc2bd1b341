// What people write in a line: mount options, users, references of images, signals.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RuntsError } from '../../lib/errors.ts';
import { familiarReference, parseReference, showReference } from '../../lib/images/reference.ts';
import { mountOptions, optionWords } from '../../lib/rootfs/options.ts';
import { signalName, signalNames, signalNumber } from '../../lib/spec/names.ts';
import { idLast, parseId, resolveUser, userFault } from '../../lib/spec/users.ts';
import { runs } from './runs.ts';

/** What it gives, or undefined where it refuses in a sentence of ours; anything else is a failure. */
function accepted<T>(what: () => T): T | undefined {
  try {
    return what();
  } catch (error) {
    if (RuntsError.is(error)) return undefined;
    throw error;
  }
}

const pieces = fc.constantFrom(
  'a',
  'B',
  '0',
  '9',
  '.',
  '..',
  '-',
  '_',
  '/',
  ':',
  '@',
  'sha256:',
  '\0',
  ' ',
  '[::1]',
  '%',
  'é',
);
const line = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.array(pieces, { maxLength: 12 }).map((p) => p.join('')),
);

test('of two words for one thing the last wins, and saying it twice changes nothing', () => {
  const opposites = [
    ['ro', 'rw'],
    ['nosuid', 'suid'],
    ['nodev', 'dev'],
    ['noexec', 'exec'],
  ] as const;
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(...optionWords), { maxLength: 8 }),
      fc.constantFrom(...opposites),
      fc.boolean(),
      (words, pair, first) => {
        const [won, lost] = first ? [pair[0], pair[1]] : [pair[1], pair[0]];
        const last = accepted(() => mountOptions([...words, won]));
        expect(accepted(() => mountOptions([...words, lost, won]))).toEqual(last);
        expect(accepted(() => mountOptions([...words, won, won]))).toEqual(last);
      },
    ),
    runs(1000),
  );
});

test('mount options of any text are kept for the file system or refused in a sentence', () => {
  fc.assert(
    fc.property(fc.array(line, { maxLength: 4 }), (words) => void accepted(() => mountOptions(words))),
    runs(1000),
  );
});

test('an id is what its digits say, from 0 to the last one, and nothing else is an id', () => {
  const nearly = fc.oneof(
    line,
    fc.bigInt({ min: -2n, max: 2n ** 33n }).map(String),
    fc.constantFrom('4294967294', '4294967295', '4294967296', '+1', ' 1', '1e3', '0x1'),
  );
  fc.assert(
    fc.property(nearly, (field) => {
      const right = /^[0-9]{1,10}$/.test(field) && BigInt(field) <= BigInt(idLast) ? Number(field) : undefined;
      expect(parseId(field)).toBe(right);
    }),
    runs(2000),
  );
});

test('a number stays this number, whatever the image has in passwd and group', () => {
  const id = fc.integer({ min: 0, max: idLast });
  fc.assert(
    fc.property(
      id,
      fc.option(id),
      fc.option(line, { nil: undefined }),
      fc.option(line, { nil: undefined }),
      (uid, gid, passwd, group) => {
        const user = gid === null ? `${uid}` : `${uid}:${gid}`;
        expect(userFault(user)).toBe(undefined);
        const found = resolveUser(user, passwd, group);
        expect(found.uid).toBe(uid);
        if (gid !== null) expect(found.gid).toBe(gid);
      },
    ),
    runs(1000),
  );
});

test('any user, passwd and group give ids that the kernel has, or a sentence', () => {
  fc.assert(
    fc.property(line, line, line, (user, passwd, group) => {
      const found = accepted(() => resolveUser(user, passwd, group));
      if (found === undefined) return;
      for (const number of [found.uid, found.gid])
        expect(number >= 0 && number <= idLast && Number.isInteger(number)).toBe(true);
    }),
    runs(1500),
  );
});

test('a reference that is understood is shown as one that means the same', () => {
  const name = fc.stringMatching(
    /^[a-z0-9]{1,6}([._-][a-z0-9]{1,4})?(\/[a-z0-9]{1,5})?(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,8})?$/,
  );
  fc.assert(
    fc.property(
      fc.oneof(
        line,
        name,
        fc.tuple(fc.domain(), name).map((parts) => parts.join('/')),
      ),
      (text) => {
        const reference = accepted(() => parseReference(text));
        if (reference === undefined) return;
        expect(parseReference(showReference(reference))).toEqual(reference);
        expect(parseReference(familiarReference(reference))).toEqual(reference);
      },
    ),
    runs(2000),
  );
});

test('a signal is its name, with and without SIG, in any case, and its number', () => {
  fc.assert(
    fc.property(fc.constantFrom(...signalNames), fc.boolean(), fc.boolean(), (name, lower, short) => {
      const bare = short ? name.replace(/^SIG/, '') : name;
      const number = signalNumber(lower ? bare.toLowerCase() : bare);
      expect(number).toBe(signalNumber(name));
      expect(signalNumber(signalName(number as number) as string)).toBe(number);
    }),
    runs(300),
  );
});
