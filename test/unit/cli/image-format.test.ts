import { expect, test } from 'vitest';
import { ago, dockerTable, fillTemplate, humanSize } from '../../../lib/cli/images/format.ts';

test.each([
  [0, '0B'],
  [999, '999B'],
  [1_234, '1.23kB'],
  [117_000_000, '117MB'],
  [4_030_000, '4.03MB'],
  [2_000_000_000, '2GB'],
])('%d bytes are shown as %s', (bytes, text) => expect(humanSize(bytes)).toBe(text));

const now = '2024-03-01T00:00:00Z';
test.each([
  ['2024-03-01T00:00:00Z', 'Less than a second ago'],
  ['2024-02-29T23:59:59Z', '1 second ago'],
  ['2024-02-29T23:58:50Z', 'About a minute ago'],
  ['2024-02-29T23:00:00Z', 'About an hour ago'],
  ['2024-02-28T21:00:00Z', '27 hours ago'],
  ['2024-02-26T00:00:00Z', '4 days ago'],
  ['2024-02-01T00:00:00Z', '4 weeks ago'],
  ['2023-03-01T00:00:00Z', '12 months ago'],
  ['2020-03-01T00:00:00Z', '4 years ago'],
  [undefined, 'N/A'],
  ['x', 'N/A'],
])('what was made at %s is so old: %s', (then, text) => expect(ago(then, now)).toBe(text));

test('a template has fields, fields of fields and JSON, and says what else there is', () => {
  const value = { Id: 'x', Config: { Cmd: ['sh'] }, Empty: undefined };
  expect(fillTemplate('{{.Id}} {{ .Config.Cmd }}\\t{{json .Config}}{{.Empty}}', value)).toBe('x [sh]\t{"Cmd":["sh"]}');
  const config = { Labels: { b: '2', a: '1' }, Env: [], Volumes: { '/data': {} }, On: true, Sizes: [1, null] };
  expect(fillTemplate('{{.Labels}} {{.Env}} {{.Volumes}} {{.On}} {{.Sizes}}', config)).toBe(
    'map[a:1 b:2] [] map[/data:map[]] true [1 <nil>]',
  );
  expect(fillTemplate('{{json .}}', { a: 1 })).toBe('{"a":1}');
  expect(() => fillTemplate('{{.Name}}', value)).toThrow('there are Id, Config, Empty');
  expect(() => fillTemplate('{{.constructor}}', value)).toThrow('there is no field');
  expect(() => fillTemplate('{{if .Id}}', value)).toThrow('is not understood');
});

test('columns are as wide as docker makes them', () => {
  expect(
    dockerTable([
      ['A', 'LONG NAME', 'C'],
      ['abcdefghij', 'b', 'c'],
    ]),
  ).toBe('A            LONG NAME   C\nabcdefghij   b           c\n');
});
