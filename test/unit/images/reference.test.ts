import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RuntsError } from '../../../lib/errors.ts';
import { familiarReference, parseDomain, parseReference, showReference } from '../../../lib/images/reference.ts';
import { testIf } from '../../support/requires.ts';

const sha = `sha256:${'a'.repeat(64)}`;
const deep = (parts: number) => Array(parts).fill('a').join('/');

/** What is written, what it is in full, and how it is shown to people. */
const good: readonly (readonly [text: string, whole: string, familiar?: string])[] = [
  ['debian', 'docker.io/library/debian:latest', 'debian:latest'],
  ['debian:12', 'docker.io/library/debian:12', 'debian:12'],
  ['docker.io/debian', 'docker.io/library/debian:latest', 'debian:latest'],
  ['index.docker.io/debian', 'docker.io/library/debian:latest', 'debian:latest'],
  ['docker.io/library/debian', 'docker.io/library/debian:latest', 'debian:latest'],
  ['me/tool', 'docker.io/me/tool:latest', 'me/tool:latest'],
  ['library/me/tool', 'docker.io/library/me/tool:latest', 'library/me/tool:latest'],
  ['localhost/tool', 'localhost/tool:latest'],
  ['localhost:5000/tool:1', 'localhost:5000/tool:1'],
  ['LOCAL/tool', 'LOCAL/tool:latest'],
  ['a.b/c', 'a.b/c:latest'],
  ['a:5000', 'docker.io/library/a:5000', 'a:5000'],
  ['a:5000/b:c', 'a:5000/b:c'],
  ['[::1]:5000/a', '[::1]:5000/a:latest'],
  ['127.0.0.1/a', '127.0.0.1/a:latest'],
  ['a__b', 'docker.io/library/a__b:latest', 'a__b:latest'],
  ['a---b', 'docker.io/library/a---b:latest', 'a---b:latest'],
  ['x:_a', 'docker.io/library/x:_a', 'x:_a'],
  [`x:${'t'.repeat(128)}`, `docker.io/library/x:${'t'.repeat(128)}`, `x:${'t'.repeat(128)}`],
  [`x@${sha}`, `docker.io/library/x@${sha}`, `x@${sha}`],
  [`x:1@${sha}`, `docker.io/library/x:1@${sha}`, `x:1@${sha}`],
  [deep(128), `docker.io/${deep(128)}:latest`, `${deep(128)}:latest`],
  ['0'.repeat(63), `docker.io/library/${'0'.repeat(63)}:latest`, `${'0'.repeat(63)}:latest`],
];

test('names are read as Docker reads them', () => {
  for (const [text, whole, familiar = whole] of good) {
    const reference = parseReference(text);
    expect(showReference(reference)).toBe(whole);
    expect(familiarReference(reference)).toBe(familiar);
  }
});

const bad: readonly (readonly [text: string, why: RegExp])[] = [
  ['', /it is empty/],
  ['Debian', /must be lower-case/],
  ['me/Tool:1', /must be lower-case/],
  ['0'.repeat(64), /64 hexadecimal digits/],
  ['a___b', /"library\/a___b" is no repository/],
  ['a..b', /no repository/],
  ['-a', /no repository/],
  ['a-', /no repository/],
  ['a/', /no repository/],
  ['/a', /no repository/],
  ['a//b', /no repository/],
  ['a b', /no repository/],
  ['xé', /no repository/],
  ['localhost:5000/', /no repository/],
  ['x:', /"" is no tag/],
  ['x:.a', /no tag/],
  ['x:-a', /no tag/],
  [`x:${'t'.repeat(129)}`, /no tag/],
  ['a:b/c', /"a:b" is no registry/],
  ['a_b.c/d', /no registry/],
  ['[::1/a', /no registry/],
  ['http://a/b', /no registry/],
  ['x@sha256:abc', /no digest/],
  [`x@sha256:${'a'.repeat(63)}`, /has 64 digits, not 63/],
  [`x@sha256:${'A'.repeat(64)}`, /lower-case/],
  [`x@md5:${'a'.repeat(32)}`, /md5 is no algorithm/],
  [deep(129), /257 characters; the limit is 255/],
  ['a'.repeat(5000), /longer than 4096/],
];

test('what is no name is refused, and it is said why', () => {
  for (const [text, why] of bad) {
    expect(() => parseReference(text), text).toThrow(why);
    expect(() => parseReference(text)).toThrow(/^invalid reference format/);
  }
});

const letters = [...'ab0A.:/@-_[]é '];
const noise = fc.array(fc.constantFrom(...letters), { maxLength: 24 }).map((each) => each.join(''));
const pieces = fc
  .tuple(
    fc.constantFrom('', 'localhost/', 'a.b/', 'a.b:50/', 'docker.io/', 'x/', 'X/'),
    fc.constantFrom('debian', 'a/b', 'a--b', 'a_b/c.d', 'library/x', 'A', 'a..b'),
    fc.constantFrom('', ':1', ':a.b', ':', ':-'),
    fc.constantFrom('', `@${sha}`, '@sha256:1'),
  )
  .map((each) => each.join(''));

test('what is read is shown in full, and that is read as the same again', () => {
  fc.assert(
    fc.property(fc.oneof(noise, pieces), (text) => {
      let reference: ReturnType<typeof parseReference>;
      try {
        reference = parseReference(text);
      } catch (error) {
        expect(RuntsError.is(error) && error.code).toBe('ERR_SPEC');
        return;
      }
      expect(parseReference(showReference(reference))).toEqual(reference);
      expect(parseReference(familiarReference(reference))).toEqual(reference);
    }),
  );
});

testIf('skopeo')('what Docker’s own rules take is taken, and nothing else', () => {
  // skopeo reads names by the same library; of a tag with a digest, of capitals and of IPv6
  // in a registry it has another view, and a registry with an underscore it reads as none at all.
  const texts = [...good, ...bad]
    .map(([text]) => text)
    .filter((text) => text !== '' && !/^(LOCAL|\[|a_b\.)/.test(text) && !(text.includes(':1@') || text.length > 200));
  for (const text of texts) {
    const { stderr } = spawnSync('skopeo', ['--insecure-policy', 'copy', 'dir:/nonexistent', `docker://${text}`], {
      encoding: 'utf8',
    });
    const isTaken = good.some(([each]) => each === text);
    expect(stderr.includes('Invalid destination name'), text).toBe(!isTaken);
  }
});

test('a registry is named as login takes it', () => {
  for (const text of ['', 'docker.io', 'index.docker.io', 'https://index.docker.io/v1/']) {
    expect(parseDomain(text)).toBe('docker.io');
  }
  expect(parseDomain('https://localhost:5000/')).toBe('localhost:5000');
  expect(() => parseDomain('a/b')).toThrow(/no name of a registry/);
});
