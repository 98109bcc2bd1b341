import { expect, test } from 'vitest';
import { checkImageConfig } from '../../../lib/spec/image-config.ts';

test('takes the known fields, and drops null and unknown ones', () => {
  const value = {
    Cmd: ['sh'],
    Env: null,
    Entrypoint: null,
    User: '',
    OnBuild: null,
    Labels: { a: 'b' },
    Volumes: { '/x': {} },
  };
  expect(checkImageConfig(value)).toEqual({
    config: { Cmd: ['sh'], User: '', Labels: { a: 'b' }, Volumes: { '/x': {} } },
  });
});

test.each([null, undefined])('takes %j for an image that says nothing', (value) => {
  expect(checkImageConfig(value)).toEqual({ config: {} });
});

test.each([
  [{ Cmd: 'sh' }, '/Cmd'],
  [{ Env: ['A=1', 5] }, '/Env/1'],
  [{ Entrypoint: ['a\0'] }, '/Entrypoint/0'],
  [{ WorkingDir: 5 }, '/WorkingDir'],
  [{ Labels: { a: 1 } }, '/Labels/a'],
  [{ ExposedPorts: [] }, '/ExposedPorts'],
  ['config', ''],
  [[], ''],
])('refuses %j', (value, path) => {
  expect(checkImageConfig(value).issues?.map((issue) => issue.path)).toEqual([path]);
});
