import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { Handle, Stream } from '../../lib/host/host.ts';
import { createHost } from '../../lib/node/host.ts';

const host = createHost();
const { sockets, processes, files } = host;
const directory = mkdtempSync(join(tmpdir(), 'runts-sockets-'));
afterAll(() => rmSync(directory, { recursive: true }));
/** Longer than an address of a socket can be. */
const deep = join(directory, 'a'.repeat(120), 'b'.repeat(120));
mkdirSync(deep, { recursive: true });

test('a socket listens at a free path of any length, for its owner only', async () => {
  const before = process.umask(0);
  try {
    const path = join(deep, 'start.sock');
    const listener = await sockets.listen(path);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(path).isSocket()).toBe(true);
    await expect(sockets.listen(path)).rejects.toMatchObject({ code: 'EADDRINUSE', syscall: 'bind', path });
    listener.close();
    expect(existsSync(path)).toBe(true);
  } finally {
    process.umask(before);
  }
});

test('what cannot be listened at is refused by name', async () => {
  await expect(sockets.listen(join(directory, 'none/x.sock'))).rejects.toMatchObject({ code: 'ENOENT' });
  await expect(sockets.listen(join(deep, 'n'.repeat(100)))).rejects.toMatchObject({ code: 'ENAMETOOLONG' });
  await expect(sockets.listen('relative.sock')).rejects.toMatchObject({ code: 'ERR_SPEC' });
});

// ---- streams and messages ----------------------------------------------------------------------------------------------

async function serving(path: string, serve: (socket: Socket) => void): Promise<Server> {
  const server = createServer(serve);
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return server;
}

const text = (bytes: Uint8Array | undefined) => bytes && Buffer.from(bytes).toString();

async function readAll(stream: Stream): Promise<string> {
  const chunks: Uint8Array[] = [];
  for (let bytes = await stream.read(); bytes !== undefined; bytes = await stream.read()) {
    expect(bytes.length).toBeLessThanOrEqual(64 * 1024);
    chunks.push(bytes);
  }
  return Buffer.concat(chunks).toString();
}

test('a stream is talked over until either end closes it', async () => {
  const path = join(directory, 'echo.sock');
  const server = await serving(path, (socket) => void socket.pipe(socket));
  const stream = await sockets.connect(path);
  const first = stream.read();
  await stream.write(Buffer.from('hello'));
  expect(text(await first)).toBe('hello');
  await stream.write(Buffer.from('again'));
  expect(text(await stream.read())).toBe('again');
  const never = stream.read();
  stream.close();
  stream.close();
  await expect(never).rejects.toMatchObject({ code: 'EBADF' });
  await expect(stream.read()).rejects.toMatchObject({ code: 'EBADF' });
  await expect(stream.write(new Uint8Array(1))).rejects.toThrow();
  server.close();
});

test('what is longer than a socket takes is all written, and all read to the end', async () => {
  const path = join(directory, 'long.sock');
  const long = 'x'.repeat(3_000_000);
  const server = await serving(path, (socket) => {
    let size = 0;
    socket.on('data', (bytes) => {
      size += bytes.length;
      if (size === long.length) socket.end(long);
    });
  });
  const stream = await sockets.connect(path);
  await stream.write(Buffer.from(long));
  expect(await readAll(stream)).toBe(long);
  expect(await stream.read()).toBe(undefined);
  stream.close();
  server.close();
});

test('a writer waits for a reader that is slow', async () => {
  const path = join(directory, 'slow.sock');
  const accepted: Socket[] = [];
  const server = await serving(path, (socket) => void accepted.push(socket.pause()));
  const stream = await sockets.connect(path);
  let written = false;
  const writing = stream.write(new Uint8Array(4_000_000)).then(() => {
    written = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(written).toBe(false);
  accepted[0]?.resume();
  await writing;
  stream.close();
  server.close();
});

test('a peer that goes away is an error to who writes and the end to who reads', async () => {
  const path = join(directory, 'leaver.sock');
  const server = await serving(path, (socket) => void socket.destroy());
  const stream = await sockets.connect(path);
  expect(await stream.read()).toBe(undefined);
  await expect(
    (async () => {
      for (;;) await stream.write(new Uint8Array(1000));
    })(),
  ).rejects.toMatchObject({ code: 'EPIPE' });
  stream.close();
  server.close();
});

test('an abstract address is connected to as well', async () => {
  // As long as it can be: some versions of node:net fill a name up with NULs.
  const name = `\0runts-test-${process.pid}`.padEnd(108, '.');
  const server = await serving(name, (socket) => void socket.end('abstract'));
  const stream = await sockets.connect(name);
  expect(await readAll(stream)).toBe('abstract');
  stream.close();
  server.close();
  await expect(sockets.connect('\0runts-test-none')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
});

test('where nobody listens, and what is no socket, is told apart', async () => {
  const file = join(directory, 'file');
  writeFileSync(file, '');
  await expect(sockets.connect(file)).rejects.toMatchObject({ code: 'ENOTSOCK', path: file });
  await expect(sockets.connect(join(directory, 'none'))).rejects.toMatchObject({ code: 'ENOENT' });
  const left = join(directory, 'left.sock');
  (await sockets.listen(left)).close();
  await expect(sockets.deliver(left, new Uint8Array(1), [])).rejects.toMatchObject({
    code: 'ECONNREFUSED',
    path: left,
  });
  await expect(sockets.connect('relative')).rejects.toMatchObject({ code: 'ERR_SPEC' });
  // It takes packets, and a stream is asked for.
  const packets = await sockets.listen(join(directory, 'packets.sock'));
  await expect(sockets.connect(join(directory, 'packets.sock'))).rejects.toMatchObject({ code: 'EPROTOTYPE' });
  packets.close();
});

test('a message is delivered whole, however long, from a path of any length', async () => {
  for (const size of [0, 20, 1_000_000]) {
    const path = join(directory, `deliver-${size}.sock`);
    let heard: (text: string) => void = () => undefined;
    const received = new Promise<string>((resolve) => {
      heard = resolve;
    });
    const server = await serving(path, (socket) => {
      const chunks: Buffer[] = [];
      socket.on('data', (chunk) => chunks.push(chunk)).on('end', () => heard(Buffer.concat(chunks).toString()));
    });
    const handle = await files.open('/dev/null', 'read');
    await sockets.deliver(path, Buffer.from('m'.repeat(size)), [handle]);
    handle.close();
    expect(await received).toBe('m'.repeat(size));
    server.close();
  }
});

test('neither sockets nor refusals leave a descriptor', async () => {
  const path = join(directory, 'many.sock');
  const server = await serving(path, (socket) => void socket.resume().on('end', () => socket.end()));
  const own = (await processes.find(process.pid)) as Handle;
  const before = readdirSync('/proc/self/fd').length;
  for (let i = 0; i < 50; i++) {
    (await sockets.connect(path)).close();
    await sockets.deliver(path, new Uint8Array(10), [own]);
    await sockets.connect(join(directory, 'none')).catch(() => undefined);
    await sockets.listen(path).catch(() => undefined);
    await processes.connect(path, process.pid, own).catch(() => undefined);
  }
  await expect.poll(() => readdirSync('/proc/self/fd').length).toBeLessThanOrEqual(before);
  own.close();
  server.close();
});
