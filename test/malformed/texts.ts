import { type DocumentCase, text } from './document-case.ts';

const bytes = (whole: string, at: number, ...more: number[]): Uint8Array =>
  Buffer.concat([Buffer.from(whole.slice(0, at)), Buffer.from(more), Buffer.from(whole.slice(at))]);

/** Texts that are no configuration at all. */
export const texts: readonly DocumentCase[] = [
  text('an empty file', 'line 1, column 1', () => ''),
  text('blanks', 'found the end', () => ' \n\t'),
  text('null', 'must be an object, not null', () => 'null'),
  text('a list', 'must be an object, not a list', () => '[]'),
  text('a string', 'must be an object, not "x"', () => '"x"'),
  text('a number', 'must be an object, not 5', () => '5'),
  text('true', 'must be an object, not true', () => 'true'),
  text('an empty object', '/ociVersion: is required', () => '{}'),
  text('a byte order mark', 'a byte order mark', (whole) => `\ufeff${whole}`),
  text('UTF-16', 'UTF-8', (whole) => Buffer.from(`\ufeff${whole}`, 'utf16le')),
  text('a byte that is no UTF-8', 'UTF-8', (whole) => bytes(whole, whole.indexOf('box'), 0xff)),
  text('a character of UTF-8 that is cut off', 'UTF-8', (whole) => bytes(whole, whole.indexOf('box'), 0xe2, 0x82)),
  text('an overlong NUL', 'UTF-8', (whole) => bytes(whole, whole.indexOf('box'), 0xc0, 0x80)),
  text('a surrogate in UTF-8', 'UTF-8', (whole) => bytes(whole, whole.indexOf('box'), 0xed, 0xa0, 0x80)),
  text('a NUL between', 'line 1, column 1', (whole) => `\0${whole}`),
  text('a NUL in a string', 'control character', (whole) => whole.replace('box', 'b\0x')),
  text('a line break in a string', 'control character', (whole) => whole.replace('box', 'b\nx')),
  text('a half', 'line 1, column', (whole) => whole.slice(0, whole.length / 2)),
  text('all but the last character', 'expected "," or "}"', (whole) => whole.slice(0, -1)),
  text('two documents', 'after the end of the document', (whole) => whole + whole),
  text('a comment', 'expected', (whole) => `// comment\n${whole}`),
  text('a comma too many', 'expected a key', (whole) => `${whole.slice(0, -1)},}`),
  text('single quotes', 'expected', (whole) => whole.replaceAll('"', "'")),
  text('keys without quotes', 'expected a key', (whole) => whole.replace('"ociVersion"', 'ociVersion')),
  text('undefined', 'expected a value', (whole) => whole.replace('"box"', 'undefined')),
  text('NaN', 'expected a value', (whole) => whole.replace('"box"', 'NaN')),
  text('Infinity', 'expected a value', (whole) => whole.replace('"box"', '-Infinity')),
  text('hexadecimal', 'expected', (whole) => whole.replace('"uid":0', '"uid":0x0')),
  text('a plus', 'expected', (whole) => whole.replace('"uid":0', '"uid":+0')),
  text('a leading zero', 'expected', (whole) => whole.replace('"uid":0', '"uid":00')),
  text('a million digits', 'a number of more than', (whole) =>
    whole.replace('"uid":0', `"uid":${'1'.repeat(1_000_000)}`),
  ),
  text('a number that overflows', 'is too large', (whole) => whole.replace('"uid":0', '"uid":1e400')),
  text('64 MB', 'larger than', (whole) => `${whole.slice(0, -1)},"x":"${'y'.repeat(64 * 1024 * 1024)}"}`),
  text('64 MB of blanks', 'larger than', (whole) => ' '.repeat(64 * 1024 * 1024) + whole),
  text('lists 100,000 deep', 'levels deep', () => '['.repeat(100_000)),
  text('lists 100,000 deep, and closed', 'levels deep', () => '['.repeat(100_000) + ']'.repeat(100_000)),
  text('objects 100,000 deep', 'levels deep', () => '{"a":'.repeat(100_000)),
  text(
    '100,000 deep in a field that nobody knows',
    'levels deep',
    (whole) => `${whole.slice(0, -1)},"x":${'['.repeat(100_000)}${']'.repeat(100_000)}}`,
  ),
  text('a key twice', 'hostname', (whole) => whole.replace('"hostname":', '"hostname":"other","hostname":')),
  text('a key twice, deep inside', 'in /process/user: the key "uid" stands twice', (whole) =>
    whole.replace('"uid":0', '"uid":1000,"uid":0'),
  ),
  text('a key twice, once by escapes', 'in /process/user: the key "uid" stands twice', (whole) =>
    whole.replace('"uid":0', '"\\u0075id":1000,"uid":0'),
  ),
  text('linux twice', 'linux', (whole) => whole.replace('"linux":', '"linux":{},"linux":')),
  text('__proto__', 'ociVersion', (whole) => whole.replace('"ociVersion"', '"__proto__"')),
  text('fields of __proto__', '/ociVersion: is required', (whole) => `{"__proto__":${whole}}`),
  text('a million wrong items', '/process/args/0', (whole) =>
    whole.replace('"args":["true"]', `"args":[${'1,'.repeat(1_000_000)}1]`),
  ),
];
