import { expect, test } from 'vitest';
import { containerConfig } from '../../../lib/spec/container-config.ts';

const image = {
  Entrypoint: ['/bin/sh'],
  Cmd: ['-l'],
  Env: ['PATH=/bin', 'A=1'],
  User: 'web',
  Labels: { a: '1' },
  ExposedPorts: { '80/tcp': {} },
};

test('what the options do not speak of stays as the image has it', () => {
  expect(containerConfig({}, image)).toEqual(image);
  expect(containerConfig({})).toEqual({ Env: [], Labels: {} });
});

test('what they speak of takes its place, and an entrypoint clears the command', () => {
  const options = { env: { A: '2', B: '3' }, user: '0', cwd: '/srv', labels: { b: '2' }, stopSignal: 'SIGINT' };
  expect(containerConfig({ ...options, command: ['x'] }, image)).toEqual({
    ...image,
    ...{ Cmd: ['x'], Env: ['PATH=/bin', 'A=2', 'B=3'], User: '0', WorkingDir: '/srv' },
    ...{ Labels: { a: '1', b: '2' }, StopSignal: 'SIGINT' },
  });
  expect(containerConfig({ entrypoint: ['/init'] }, image)).toMatchObject({ Entrypoint: ['/init'], Cmd: undefined });
});
