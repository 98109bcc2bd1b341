import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import { createContainer, run } from '../../lib/index.ts';
import { testIf } from '../support/requires.ts';

const test = testIf('userns');
const testMapped = process.getuid?.() === 0 ? testIf('root') : testIf('userns', 'subuids');

const MiB = 1024 * 1024;
const shell = (script: string) => ({ host: true as const, command: ['sh', '-c', script] });

async function all(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

describe('pipes', () => {
  test('a reader that is slow makes the command wait, and little is kept in between', async () => {
    const size = 50 * MiB;
    await using container = await createContainer(shell(`head -c ${size} /dev/zero; echo written >&2`));
    const stdout = container.stdout as Readable;
    await container.start();
    await sleep(300);
    const early = [];
    for await (const line of container.logs()) if (line.stream === 'stderr') early.push(line.text);
    expect(early).toEqual([]);
    let bytes = 0;
    let most = stdout.readableLength;
    for await (const chunk of stdout) {
      bytes += (chunk as Buffer).length;
      most = Math.max(most, stdout.readableLength);
    }
    expect(bytes).toBe(size);
    expect(most).toBeLessThan(MiB);
    expect(await container.wait()).toMatchObject({ exitCode: 0 });
  });

  test('a command is not held up when nobody reads', async () => {
    await using container = await createContainer(shell(`head -c ${5 * MiB} /dev/zero; echo done >&2`));
    await container.start();
    expect(await container.wait()).toMatchObject({ exitCode: 0 });
  });

  test('a reader that goes away does not hold the command up', async () => {
    await using container = await createContainer(shell(`head -c ${20 * MiB} /dev/zero; exit 3`));
    const stdout = container.stdout as Readable;
    await container.start();
    await once(stdout, 'data');
    stdout.destroy();
    expect(await container.wait()).toMatchObject({ exitCode: 3 });
  });

  test('bytes go in and come out as they are', async () => {
    await using container = await createContainer({ host: true, command: ['cat'], stdin: 'pipe' });
    const sent = randomBytes(4 * MiB);
    const received = all(container.stdout as Readable);
    await container.start();
    container.stdin?.end(sent);
    expect(
      createHash('sha256')
        .update(await received)
        .digest('hex'),
    ).toBe(createHash('sha256').update(sent).digest('hex'));
    expect(await container.wait()).toMatchObject({ exitCode: 0 });
  });

  test('ten megabytes of input arrive', async () => {
    const input = new Uint8Array(10 * MiB).fill(0x61);
    expect((await run({ ...shell('wc -c'), input })).stdout).toBe(`${10 * MiB}\n`);
  });

  test('a command need not read its input', async () => {
    const input = 'x'.repeat(10 * MiB);
    expect((await run({ ...shell('head -c 1'), input })).stdout).toBe('x');
    expect((await run({ ...shell('exec <&-; echo closed'), input })).stdout).toBe('closed\n');
  });

  test('without input standard input is empty', async () => {
    expect((await run(shell('cat; echo end'))).stdout).toBe('end\n');
  });

  test('the two outputs are apart', async () => {
    expect(await run(shell('echo out; echo err >&2'))).toMatchObject({ stdout: 'out\n', stderr: 'err\n' });
  });

  test('output can lead nowhere, or to a descriptor of ours', async () => {
    const result = await run({ ...shell('echo out; echo err >&2'), stderr: 'ignore' });
    expect(result).toMatchObject({ stdout: 'out\n', stderr: '' });
  });

  testMapped('another user of the container may open its standard streams', async () => {
    const result = await run({ ...shell('echo out > /dev/stdout; echo err > /dev/stderr'), user: '1' });
    expect(result).toMatchObject({ stdout: 'out\n', stderr: 'err\n' });
  });
});

describe('a terminal', () => {
  test('the command is on a terminal of the size that was asked', async () => {
    const size = { columns: 91, rows: 33 };
    const result = await run({
      ...shell('test -t 0 && test -t 1 && test -t 2 && tty && stty size; echo $TERM'),
      tty: size,
    });
    expect(result.stdout).toBe('/dev/pts/0\r\n33 91\r\nxterm\r\n');
  });

  test('the terminal controls the session, and is the console', async () => {
    const script = 'echo x > /dev/tty; stat -Lc %t:%T /dev/console /dev/pts/0; ls -1 /dev/pts; ps -o tty= -p $$';
    const { stdout } = await run({ ...shell(script), tty: true });
    const [x, console, pts, ...rest] = stdout.split('\r\n');
    expect(x).toBe('x');
    expect(console).toBe(pts);
    expect(rest.join(' ').trim()).toBe('0 ptmx pts/0');
  });

  test('a window that changes its size is noticed', async () => {
    await using container = await createContainer({
      ...shell('trap "stty size; exit" WINCH; echo up; while :; do sleep 0.01; done'),
      tty: { columns: 80, rows: 24 },
    });
    await container.start();
    for await (const { text } of container.logs({ follow: true })) {
      if (text === 'up') container.resize({ columns: 100, rows: 50 });
      else expect(text).toBe('50 100');
    }
    expect(await container.wait()).toMatchObject({ exitCode: 0 });
  });

  test('Ctrl-C interrupts what is in the foreground', async () => {
    await using container = await createContainer({
      ...shell('trap "exit 44" INT; echo up; while :; do sleep 0.01; done'),
      tty: true,
    });
    await container.start();
    for await (const { text } of container.logs({ follow: true })) if (text === 'up') break;
    container.stdin?.write('\x03');
    expect(await container.wait()).toMatchObject({ exitCode: 44 });
  });

  test('what is typed is read, and echoed', async () => {
    await using container = await createContainer({ ...shell('read line; echo "<$line>"'), tty: true });
    const output = all(container.stdout as Readable);
    await container.start();
    container.stdin?.write('hello\n');
    await container.wait();
    expect((await output).toString()).toBe('hello\r\n<hello>\r\n');
  });

  testMapped('a terminal belongs to the user of the command', async () => {
    const { stdout } = await run({
      ...shell('stat -Lc %u:%a /dev/pts/0; echo ok > /dev/stdout'),
      tty: true,
      user: '1',
    });
    expect(stdout).toBe('1:620\r\nok\r\n');
  });

  test('a container without a terminal cannot be resized', async () => {
    await using container = await createContainer(shell('true'));
    expect(() => container.resize({ columns: 1, rows: 1 })).toThrow('has no terminal');
  });
});

test('the exit is known also to who asked for the output and does not read it', async () => {
  await using container = await createContainer(shell('head -c 100000 /dev/zero; exit 4'));
  const output = container.stdout as Readable;
  await container.start();
  expect(await container.wait()).toMatchObject({ exitCode: 4 });
  expect(output.readableEnded).toBe(false);
});
