import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect } from 'vitest';
import { testIf } from '../support/requires.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const place = mkdtempSync(join(tmpdir(), 'runts-test-tiny-json-'));
afterAll(() => rmSync(place, { recursive: true }));
mkdirSync(join(place, 'bundle/rootfs'), { recursive: true });
const config = join(place, 'bundle/config.json');

/** A configuration, as text, with something in the place of an argument of its command, and of the whole. */
const document = (argument: string, around = (text: string) => text): string =>
  around(`{
  "ociVersion": "1.2.0", "root": {"path": "rootfs"},
	"process": {"cwd": "/", "args": ["true", ${argument}], "rlimits": [{"type": "RLIMIT_CORE", "hard": 7, "soft": 0}]},
  "annotations": {}, "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}]}
}`);

const documents: Readonly<Record<string, string | Buffer>> = {
  'what is ordinary': document('"a", "b c"'),
  'every escape': document(String.raw`"\"\\\/\b\f\n\r\t\u0041\u00e4\ud83d\ude00 ä😀"`),
  'an escaped NUL': document(String.raw`"\u0000"`),
  'half of a pair': document(String.raw`"\ud83d"`),
  'an unknown escape': document(String.raw`"\x41"`),
  'an escape that ends too early': document(String.raw`"\u00`, (text) => text.slice(0, text.indexOf('\\u00') + 4)),
  'a control character': document('"\u0001"'),
  'a string that does not end': document('"a'),
  'a very long string with an escape': document(`"\\n${'x'.repeat(10_000)}"`),
  'a key that stands twice': document('"a"', (text) =>
    text.replace('"annotations"', '"root": {"path": "x"}, "annotations"'),
  ),
  'keys that every object has': document('"a"', (text) =>
    text.replace('{}', '{"__proto__": "a", "constructor": "b", "1": "c"}'),
  ),
  'members that are null': document('"a"', (text) =>
    text.replace('"annotations": {}', '"annotations": null, "hooks": null'),
  ),
  'an element that is null': document('null'),
  'a number of many digits': document('"a"', (text) => text.replace('"hard": 7', '"hard": 18446744073709551615')),
  'a number too large': document('"a"', (text) => text.replace('"hard": 7', '"hard": 18446744073709551616')),
  'a negative zero': document('"a"', (text) => text.replace('"hard": 7', '"hard": -0')),
  'an exponent': document('"a"', (text) => text.replace('"hard": 7', '"hard": 1e3')),
  'a fraction': document('"a"', (text) => text.replace('"hard": 7', '"hard": 7.5')),
  'a zero before a number': document('"a"', (text) => text.replace('"hard": 7', '"hard": 07')),
  'a comma too many': document('"a",'),
  'text after the end': document('"a"', (text) => `${text} x`),
  'nothing at all': '',
  'only null': 'null',
  'levels beyond the limit': '['.repeat(200) + ']'.repeat(200),
  'levels up to the limit': '['.repeat(128) + ']'.repeat(128),
  'a byte order mark': document('"a"', (text) => `\ufeff${text}`),
  'what is not UTF-8': Buffer.from(document('"\u00ff"'), 'latin1'),
  'UTF-8 of a surrogate': Buffer.concat([Buffer.from('{"a": "'), Buffer.from([0xed, 0xa0, 0x80]), Buffer.from('"}')]),
  'UTF-8 that is longer than it need be': Buffer.concat([
    Buffer.from('{"a": "'),
    Buffer.from([0xc0, 0xaf]),
    Buffer.from('"}'),
  ]),
};

const told = (command: readonly string[]): Promise<object> =>
  new Promise((resolve) => {
    const [file = '', ...words] = [...command, 'plan', '--name', 'same', '--bundle', join(place, 'bundle')];
    const env = { PATH: '/nowhere', XDG_RUNTIME_DIR: place };
    execFile(file, words, { cwd: place, env, encoding: 'utf8' }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : error.code, stdout, stderr: stderr.replaceAll('runts.js', 'runts') }),
    );
  });

testIf('tiny')(
  'each configuration means the same to it as to the command under Node',
  { timeout: 120_000 },
  async () => {
    for (const [what, text] of Object.entries(documents)) {
      writeFileSync(config, text);
      const [here, there] = await Promise.all([
        told([join(root, 'build/tiny/runts')]),
        told([process.execPath, join(root, 'bin/runts.js')]),
      ]);
      expect(here, what).toEqual(there);
    }
  },
);
