import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { testIf } from '../support/requires.ts';
import { temporaryDirectory } from '../support/unpacked.ts';
import { runts } from './runts.ts';

const test = testIf('userns');

/** The command line with a data directory of its own. */
async function machine() {
  const directory = await temporaryDirectory();
  const env = { XDG_DATA_HOME: directory };
  return {
    directory,
    call: (...args: string[]) => runts(args, { env }),
    async does(...args: string[]): Promise<string> {
      const { code, stdout, stderr } = await runts(args, { env });
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      return stdout;
    },
  };
}

test('a volume is made, listed, inspected and removed, in docker’s words', async () => {
  const { does, call } = await machine();
  expect(await does('volume', 'create', '--label', 'a=b', 'data')).toBe('data\n');
  expect(await does('volume', 'create', 'data')).toBe('data\n');
  expect(await does('volume', 'ls')).toBe('DRIVER    VOLUME NAME\nlocal     data\n');
  expect(await does('volume', 'ls', '--filter', 'label=a=c', '-q')).toBe('');
  expect(await does('volume', 'ls', '--format', '{{.Name}} {{.Labels}}')).toBe('data a=b\n');
  const [inspected] = JSON.parse(await does('volume', 'inspect', 'data')) as object[];
  expect(inspected).toMatchObject({ Name: 'data', Driver: 'local', Labels: { a: 'b' }, Options: {}, Scope: 'local' });
  expect(await does('volume', 'inspect', '-f', '{{.Driver}}', 'data')).toBe('local\n');
  expect(await call('volume', 'rm', 'none', 'data')).toMatchObject({
    ...{ code: 1, stdout: 'data\n' },
    stderr: expect.stringContaining('No such volume: none'),
  });
  expect(await does('volume', 'rm', '-f', 'data')).toBe('data\n');
  expect(JSON.parse(await does('volume', 'ls', '--json'))).toEqual([]);
});

test('prune removes what nobody has named, and says how much that was', async () => {
  const { directory, does } = await machine();
  const name = (await does('volume', 'create')).trim();
  writeFileSync(join(directory, 'runts/volumes', name, '_data/file'), 'x'.repeat(2000));
  await does('volume', 'create', 'kept');
  expect(await does('volume', 'prune', '-f')).toBe(`Deleted Volumes:\n${name}\n\nTotal reclaimed space: 2kB\n`);
  expect(await does('volume', 'prune', '-af', '--json')).toBe('{"removed":["kept"],"bytes":0}\n');
});

test('run -v takes a volume by its name, and makes it', async () => {
  const { does, call, directory } = await machine();
  const run = (mount: string, ...command: string[]) => does('run', '--host', '-v', mount, '--', ...command);
  await run('data:/data', 'sh', '-c', 'echo kept > /data/file');
  expect(await run('data:/data:ro', 'cat', '/data/file')).toBe('kept\n');
  expect(await run('/fresh', 'ls', '-A', '/fresh')).toBe('');
  expect(await does('volume', 'ls', '-q')).toBe('data\n');
  expect(await call('run', '--host', '-v', 'da!ta:/data', '--', 'true')).toMatchObject({ code: 125 });
  expect(await does('plan', '--host', '-v', 'other:/data', '--', 'true')).toContain('volumes/other/_data');
  expect(existsSync(join(directory, 'runts/volumes/other'))).toBe(false);
});

test('options of the local driver are told what is wrong with them', async () => {
  const { directory, does, call } = await machine();
  const device = join(directory, 'device');
  mkdirSync(device);
  const bind = ['-o', 'type=none', '-o', 'o=bind', '-o', `device=${device}`];
  await does('volume', 'create', ...bind, 'srv');
  expect(await call('volume', 'create', 'srv', '-o', 'type=tmpfs')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('there is a volume srv already, with other options'),
  });
  expect((await call('volume', 'create', '-o', 'type')).stderr).toContain('--opt: wants NAME=VALUE, got "type"');
  expect((await call('volume', 'creat')).stderr).toContain('Did you mean create?');
  expect((await call('volume', 'create', '-d', 'none')).stderr).toContain('there is no volume driver "none"');
});
