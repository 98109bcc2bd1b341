import { constants } from 'node:os';
import { describe, expect, test } from 'vitest';
import {
  capabilityBit,
  capabilityMask,
  capabilityName,
  capabilityNames,
  containerIdFault,
  isContainerId,
  namespaceFlags,
  namespaceTypes,
  nearest,
  rlimitName,
  rlimitNumbers,
  signalName,
  signalNumber,
} from '../../../lib/spec/names.ts';

describe('container ids', () => {
  test.each(['a', 'web-1', 'A_b+c.d', '0', '-x', 'a'.repeat(255)])('%j is one', (id) => {
    expect(isContainerId(id)).toBe(true);
    expect(containerIdFault(id)).toBe(undefined);
  });
  test.each(['', '.', '..', 'a/b', '/a', 'a b', 'a\n', 'ä', 'a\0', 'a'.repeat(256)])('%j is none', (id) => {
    expect(isContainerId(id)).toBe(false);
    expect(containerIdFault(id)).toMatch(/^must /);
  });
});

describe('signals', () => {
  test('have the numbers that this kernel gives them', () => {
    for (const [name, number] of Object.entries(constants.signals)) {
      expect([name, signalNumber(name)]).toEqual([name, number]);
      expect(signalNumber(name.slice(3))).toBe(number);
    }
  });
  test('go from number to name and back', () => {
    for (let number = 1; number <= 64; number++) expect(signalNumber(signalName(number)!)).toBe(number);
    expect(signalName(15)).toBe('SIGTERM');
    expect(signalName(29)).toBe('SIGIO');
  });
  const spelled = [
    ['TERM', 15],
    ['SIGTERM', 15],
    ['sigterm', 15],
    ['15', 15],
    ['0', 0],
    ['RTMIN', 34],
    ['SIGRTMIN+3', 37],
    ['rtmax-1', 63],
    ['SIGRTMIN+30', 64],
    ['RTMAX', 64],
    [9, 9],
  ] as const;
  test.each(spelled)('%j is number %d', (word, number) => {
    expect(signalNumber(word)).toBe(number);
  });
  test.each([
    '',
    'SIG',
    'FOO',
    '65',
    '-1',
    '1.5',
    'RTMIN+31',
    'RTMAX-31',
    'RTMIN-1',
    ' 9',
    '9\n',
    'toString',
    0.5,
    NaN,
  ])('%j is none', (word) => {
    expect(signalNumber(word)).toBe(undefined);
  });
  test.each([0, -1, 65, 1.5])('number %d has no name', (number) => {
    expect(signalName(number)).toBe(undefined);
  });
});

describe('capabilities', () => {
  test('are 41, numbered from CAP_CHOWN to CAP_CHECKPOINT_RESTORE', () => {
    expect(capabilityNames).toHaveLength(41);
    expect(new Set(capabilityNames).size).toBe(41);
    expect(capabilityBit('CAP_CHOWN')).toBe(0);
    expect(capabilityBit('CAP_SYS_ADMIN')).toBe(21);
    expect(capabilityBit('CAP_AUDIT_READ')).toBe(37);
    expect(capabilityBit('CAP_CHECKPOINT_RESTORE')).toBe(40);
    expect(capabilityName(13)).toBe('CAP_NET_RAW');
    expect(capabilityName(41)).toBe(undefined);
    expect(capabilityBit('CHOWN')).toBe(undefined);
    expect(capabilityBit('constructor')).toBe(undefined);
  });
  test('make a 64-bit mask, in which unknown names count for nothing', () => {
    expect(capabilityMask(['CAP_CHOWN', 'CAP_CHECKPOINT_RESTORE', 'CAP_NEWER'])).toBe((1n << 40n) | 1n);
  });
});

test('each namespace type has a CLONE_NEW* flag of its own', () => {
  expect(namespaceTypes).toHaveLength(8);
  expect(new Set(namespaceTypes.map((type) => namespaceFlags[type])).size).toBe(namespaceTypes.length);
  expect(Object.values(namespaceFlags).reduce((all, flag) => all | flag, 0)).toBe(0x7e020080);
});

test('resource limits go both ways', () => {
  expect(rlimitNumbers['RLIMIT_NOFILE']).toBe(7);
  for (const name of Object.keys(rlimitNumbers)) expect(rlimitName(rlimitNumbers[name]!)).toBe(name);
});

describe('nearest', () => {
  const words = ['command', 'cwd', 'env', 'mounts', 'hostname', 'readonly'];
  test.each([
    ['comand', 'command'],
    ['readOnly', 'readonly'],
    ['mount', 'mounts'],
    ['hsotname', 'hostname'],
    ['evn', 'env'],
    ['cdw', 'cwd'],
  ])('%j was meant to be %j', (word, meant) => {
    expect(nearest(word, words)).toBe(meant);
  });
  test.each(['', 'zzz', 'volume', 'x'.repeat(100_000)])('nothing is near %.20j', (word) => {
    expect(nearest(word, words)).toBe(undefined);
  });
});
