import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkSpec } from '../../../lib/spec/check.ts';
import { defaultSpec } from '../../../lib/spec/defaults.ts';
import { parsePointer } from '../../../lib/spec/pointer.ts';
import { bad } from './bad.ts';
import { full } from './full.ts';

/** A copy of a document with one thing changed: `undefined` takes it away. */
function changed(document: unknown, path: string, value: unknown): unknown {
  const root = { document: clone(document) } as Record<string, unknown>;
  const keys = ['document', ...parsePointer(path)!];
  const last = keys.pop()!;
  let at = root;
  for (const key of keys) {
    at[key] ??= {};
    at = at[key] as Record<string, unknown>;
  }
  if (value === undefined) delete at[last];
  else at[last] = value;
  return root['document'];
}

function clone(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(clone);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, clone(item)]));
}

test('accepts a configuration that uses every field of the specification', () => {
  const { issues, spec, warnings } = checkSpec(full()) as { issues?: unknown; spec?: unknown; warnings?: unknown };
  expect(issues).toBe(undefined);
  expect(spec).toEqual(full());
  expect(warnings).toEqual([]);
});

test('accepts the default configuration', () => {
  expect(checkSpec(defaultSpec()).issues).toBe(undefined);
});

test('accepts a configuration without a process, which can be created if not started', () => {
  expect(checkSpec(changed(defaultSpec(), '/process', undefined)).issues).toBe(undefined);
});

test.each([{}, { linux: {} }, { linux: { namespaces: [] } }])(
  '%j is refused: its mounts would be the host’s',
  (linux) => {
    const { process, root, ociVersion } = full() as Record<string, unknown>;
    const checked = checkSpec({ ociVersion, process, root, ...linux });
    expect(checked.issues).toEqual([
      { path: '/linux/namespaces', message: 'must have a mount namespace: {"type": "mount"}' },
    ]);
  },
);

test('a user whose ids are not said is root', () => {
  const spec = full() as { process: { user?: object } };
  spec.process.user = { gid: 5 };
  expect(checkSpec(spec).spec?.process?.user).toEqual({ uid: 0, gid: 5 });
  delete spec.process.user;
  expect(checkSpec(spec).spec?.process?.user).toEqual({ uid: 0, gid: 0 });
});

test('ignores keys that it does not know, at every level', () => {
  for (const path of [
    '/new',
    '/process/new',
    '/linux/new',
    '/linux/resources/memory/new',
    '/mounts/0/new',
    '/windows',
  ]) {
    expect(checkSpec(changed(full(), path, { of: ['any', 'kind'] })).issues).toBe(undefined);
  }
});

/** Every leaf of a document, by JSON pointer. */
function leaves(value: unknown, path = ''): string[] {
  if (typeof value !== 'object' || value === null) return [path];
  return Object.entries(value).flatMap(([key, item]) =>
    leaves(item, `${path}/${key.replace(/~/g, '~0').replace(/\//g, '~1')}`),
  );
}

describe('a field of the wrong type is found, where it is', () => {
  test.each(leaves(full()))('%s', (path) => {
    const { issues } = checkSpec(changed(full(), path, Symbol.iterator));
    expect(issues?.map((issue) => issue.path)).toEqual([path]);
    expect(issues![0]!.message).toMatch(/^must be .*, not a symbol$/);
  });
});

describe('a bad value is refused, where it is', () => {
  test.each(bad.map(([path, ...row]) => ({ path, row })))('$path = $row.0', ({ path, row }) => {
    const [value, message, at = path] = row;
    const { issues = [] } = checkSpec(changed(full(), path, value));
    expect(
      issues
        .filter((issue) => issue.path === at)
        .map((issue) => issue.message)
        .join('; '),
    ).toContain(message);
  });
  test('of which there are many', () => {
    expect(bad.length).toBeGreaterThan(80);
  });
});

/** The full configuration without one of its namespaces. */
const without = (type: string): unknown =>
  changed(
    full(),
    '/linux/namespaces',
    full().linux.namespaces.filter((namespace) => namespace.type !== type),
  );

describe('what needs a namespace is refused without it', () => {
  test.each([
    ['uts', ['/hostname', '/domainname', '/linux/sysctl/kernel.domainname']],
    ['user', ['/linux/uidMappings', '/linux/gidMappings', '/linux/sysctl/user.max_user_namespaces']],
    ['time', ['/linux/timeOffsets']],
    ['network', ['/linux/netDevices', '/linux/sysctl/net.core.somaxconn']],
    ['ipc', ['/linux/sysctl/kernel.shmmax', '/linux/sysctl/fs.mqueue.msg_max']],
  ])('%s', (type, paths) => {
    expect(checkSpec(without(type)).issues?.map((issue) => issue.path)).toEqual(paths);
  });
});

test('says everything that is wrong at once, in one list', () => {
  const spec = changed(changed(changed(full(), '/process/cwd', 'x'), '/mounts/0/options', 1), '/process/args/0', '');
  expect(checkSpec(spec).issues?.map((issue) => issue.path)).toEqual([
    '/process/cwd',
    '/mounts/0/options',
    '/process/args/0',
  ]);
});

test('shows a long value shortened, and on one line', () => {
  const { issues } = checkSpec(changed(full(), '/process/cwd', `x\n${'y'.repeat(1000)}`));
  expect(issues![0]!.message.length).toBeLessThan(120);
  expect(issues![0]!.message).not.toContain('\n');
});

describe('warns of', () => {
  test('an unknown capability, with the name that was meant', () => {
    const { warnings } = checkSpec(changed(full(), '/process/capabilities/bounding/0', 'CAP_CHWON')) as {
      warnings: unknown;
    };
    expect(warnings).toEqual([
      {
        path: '/process/capabilities/bounding/0',
        message: 'unknown capability "CAP_CHWON"; did you mean "CAP_CHOWN"?',
      },
    ]);
  });
  test('an ambient capability that cannot be raised', () => {
    const { warnings } = checkSpec(changed(full(), '/process/capabilities/inheritable', []));
    expect(warnings).toEqual([
      {
        path: '/process/capabilities/ambient',
        message: "can't raise ambient capability CAP_KILL: only what is permitted and inheritable can be ambient",
      },
    ]);
  });
  test('a relative destination', () => {
    const { warnings } = checkSpec(changed(full(), '/mounts/0/destination', 'proc'));
    expect(warnings?.map((warning) => warning.message)).toEqual(['is relative, and taken for "/proc"']);
  });
});

describe('never throws', () => {
  const anything = fc.anything({
    withBigInt: true,
    withNullPrototype: true,
    withObjectString: true,
    withSparseArray: true,
  });
  test('whatever the value', () => {
    fc.assert(
      fc.property(anything, (value) => {
        expect(checkSpec(value).issues).not.toHaveLength(0);
      }),
      { seed: 6, numRuns: 1000 },
    );
  });
  test('whatever one or two parts of a good configuration are replaced by', () => {
    const places = allPaths(full());
    fc.assert(
      fc.property(fc.constantFrom(...places), anything, fc.constantFrom(...places), anything, (a, x, b, y) => {
        const first = changed(full(), a, x);
        let second: unknown;
        try {
          second = changed(first, b, y);
        } catch {
          // The second place is gone with what the first one replaced.
          second = first;
        }
        const { issues, spec } = checkSpec(second);
        expect((issues === undefined) !== (spec === undefined)).toBe(true);
      }),
      { seed: 7, numRuns: 3000 },
    );
  });
});

function allPaths(value: unknown, path = ''): string[] {
  if (typeof value !== 'object' || value === null) return [path];
  const below = Object.entries(value).flatMap(([key, item]) =>
    allPaths(item, `${path}/${key.replace(/~/g, '~0').replace(/\//g, '~1')}`),
  );
  return [path, ...below];
}
