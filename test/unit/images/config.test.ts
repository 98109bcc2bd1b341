import { expect, test } from 'vitest';
import { readConfig } from '../../../lib/images/config.ts';

function read(config: unknown, rest: object = {}) {
  const document = { os: 'linux', architecture: 'amd64', rootfs: { type: 'layers', diff_ids: [] }, config, ...rest };
  return readConfig(Buffer.from(JSON.stringify(document)));
}

test('null and absence are the same, and fields that mean nothing to a runtime are left out', () => {
  const nothing = { Env: null, Cmd: null, Entrypoint: null, Volumes: null, Labels: null, Hostname: 5, OnBuild: {} };
  expect(read(nothing).config).toEqual({});
  expect(read(null).config).toEqual({});
  expect(read(undefined).config).toEqual({});
});

test('sets may have null or {} as their members', () => {
  expect(read({ Volumes: { '/data': {}, '/more': null } }).config).toEqual({ Volumes: { '/data': {}, '/more': {} } });
});

test('a label named __proto__ is a label', () => {
  const bytes =
    '{"os":"linux","architecture":"amd64","rootfs":{"type":"layers"},"config":{"Labels":{"__proto__":"x"}}}';
  const { config } = readConfig(Buffer.from(bytes));
  expect(Object.keys(config.Labels!)).toEqual(['__proto__']);
});

test.each([
  ['Cmd', 'sh -c x', /config\.Cmd should be a list/],
  ['Cmd', ['sh', 5], /config\.Cmd\[1\] should be a string/],
  ['Entrypoint', { 0: 'sh' }, /config\.Entrypoint should be a list/],
  ['Env', { A: '1' }, /config\.Env should be a list/],
  ['Env', ['A=\0'], /NUL/],
  ['User', 0, /config\.User should be a string/],
  ['WorkingDir', ['/'], /config\.WorkingDir should be a string/],
  ['StopSignal', 15, /config\.StopSignal should be a string/],
  ['ExposedPorts', ['80/tcp'], /config\.ExposedPorts should be an object/],
  ['Volumes', { '/data': 'x' }, /config\.Volumes\.\/data should be an object/],
  ['Labels', { a: 1 }, /config\.Labels\.a should be a string/],
])('a %s of %j is refused by name', (field, value, reason) => {
  expect(() => read({ [field]: value })).toThrow(reason);
});

test.each([
  ['rootfs of another type', { rootfs: { type: 'windows', diff_ids: [] } }, /rootfs\.type/],
  ['a diff_id that is none', { rootfs: { type: 'layers', diff_ids: ['x'] } }, /rootfs\.diff_ids\[0\] is no digest/],
  ['no os', { os: undefined }, /os should be a string/],
])('a configuration with %s is refused', (_, rest, reason) => {
  expect(() => read({}, rest)).toThrow(reason);
});

test('bytes that are not UTF-8 are refused', () => {
  expect(() => readConfig(Buffer.from([0x22, 0xff, 0x22]))).toThrow(/not JSON/);
});
