import { describe, expect } from 'vitest';
import { createContainer, type Ready, ready } from '../../lib/index.ts';
import { testIf } from '../support/requires.ts';

const test = testIf('userns');

const start = async (script: string, condition: Ready) => {
  const container = await createContainer({ host: true, command: ['sh', '-c', script], ready: condition });
  return container.start({ timeout: 20_000 });
};

test('a line of the log, also the second of its kind', async () => {
  await using once = await start('sleep 0.1; echo it is up; sleep 1000', ready.log('is up'));
  expect(once.status).toBe('running');
  await using twice = await start('echo up 1; sleep 0.1; echo up 2; sleep 1000', ready.log(/^up \d$/g, { times: 2 }));
  const lines = [];
  for await (const { text } of twice.logs()) lines.push(text);
  expect(lines).toEqual(['up 1', 'up 2']);
});

test('a command that succeeds', async () => {
  const condition = ready.exec(['test', '-e', '/tmp/there']);
  await using container = await start('sleep 0.2; touch /tmp/there; sleep 1000', condition);
  expect((await container.exec(['ls', '/tmp'])).stdout).toBe('there\n');
});

test('an end, and no other end', async () => {
  const container = await start('exit 3', ready.exit(3));
  expect(await container.wait()).toMatchObject({ exitCode: 3 });
  await container.remove();
  await expect(start('echo why; exit 4', ready.exit(3))).rejects.toMatchObject({
    code: 'ERR_NOT_READY',
    message: expect.stringContaining('exit code 4'),
  });
});

test('all, and any', async () => {
  const script = 'echo a; sleep 0.1; echo b; sleep 1000';
  await using all = await start(script, ready.all(ready.log('a'), ready.log('b')));
  const lines = [];
  for await (const { text } of all.logs()) lines.push(text);
  expect(lines).toEqual(['a', 'b']);
  await using any = await start(script, ready.any(ready.log('never'), ready.exec(['false']), ready.log('a')));
  expect(any.status).toBe('running');
});

test.each([
  ['log', ready.log('never')],
  ['exec', ready.exec(['false'])],
  ['any', ready.any(ready.log('never'), ready.exec(['false']))],
] as const)('a container that ends before says so, with what it wrote: %s', async (_name, condition) => {
  await expect(start('echo the reason >&2; sleep 0.1; exit 9', condition)).rejects.toMatchObject({
    code: 'ERR_NOT_READY',
    message: expect.stringMatching(/ended \(exit code 9\) before it was ready[\s\S]*the reason/),
  });
});

test('a time out says how long it was waited, and the container is gone', async () => {
  const container = await createContainer({ host: true, command: ['sleep', '1000'], ready: ready.log('never') });
  await expect(container.start({ timeout: 200 })).rejects.toMatchObject({ code: 'ERR_TIMEOUT' });
  expect(container.status).toBe('stopped');
});

test('malformed conditions are told when they are made', () => {
  expect(() => ready.log(5 as unknown as string)).toThrow(/RegExp/);
  expect(() => ready.log('x', { times: 0 })).toThrow(/times/);
  expect(() => ready.exec([])).toThrow(/command/);
});

/** A server of this test's own, in a Node that a container of the host's programs has. */
const server = (address: string, delayMs: number) => `
  const answer = (request, response) => response.writeHead(request.url === '/up' ? 204 : 404).end();
  setTimeout(() => {
    const server = require('node:http').createServer(answer);
    server.listen(0, ${JSON.stringify(address)}, () => console.log('port', server.address().port));
  }, ${delayMs});
`;

describe('a port', () => {
  test('of a network of its own is open once something listens there, and is not before', async () => {
    await using silent = await createContainer({ host: true, command: ['sleep', '1000'] });
    await silent.start();
    await expect(ready.port(4711)(silent, AbortSignal.timeout(200))).rejects.toThrow();
    const listen = `require('node:net').createServer().listen(4711, '127.0.0.1')`;
    await using listening = await createContainer({
      host: true,
      command: [process.execPath, '-e', listen],
      ready: ready.port(4711),
    });
    await listening.start({ timeout: 20_000 });
    expect(listening.status).toBe('running');
    expect(() => listening.address(4711)).toThrow(expect.objectContaining({ code: 'ERR_UNSUPPORTED' }));
  });

  test('of the network of the host: by its address, and by what a server answers', async () => {
    await using container = await createContainer({
      host: true,
      network: 'host',
      command: [process.execPath, '-e', server('127.0.0.1', 100)],
      ready: ready.log(/^port \d+$/),
    });
    await container.start({ timeout: 20_000 });
    let port = 0;
    for await (const { text } of container.logs()) port = Number(text.slice('port '.length));
    expect(container.address(port)).toEqual({ host: '127.0.0.1', port });
    const signal = AbortSignal.timeout(20_000);
    await ready.all(ready.port(port), ready.http({ port, path: '/up', status: 204 }))(container, signal);
    await expect(ready.http({ port, path: '/up' })(container, AbortSignal.timeout(300))).rejects.toThrow();
  });

  test('that cannot be one is refused at once', () => {
    for (const wrong of [() => ready.port(0), () => ready.port(65536), () => ready.http({ port: 80, path: 'up' })]) {
      expect(wrong).toThrow(expect.objectContaining({ code: 'ERR_SPEC' }));
    }
  });
});
