import { describe, expect, test } from 'vitest';
import { explain, explainInLine } from '../../../lib/cli/explain.ts';
import { RuntsError, specError } from '../../../lib/errors.ts';

const several = specError('config.json is not valid', [
  { path: '/a', message: 'must be a string' },
  { path: '/b', message: 'is required' },
]);
const hinted = new RuntsError('ERR_STATE', 'container not running: x', { hint: 'Start it.' });
const unsupported = new RuntsError('ERR_UNSUPPORTED', 'hooks: not supported', { origin: '/hooks/poststop' });
const refused = new RuntsError('ERR_NOT_FOUND', 'no such root', { origin: '/root/path' });
const missing = new RuntsError('ERR_EXEC', 'command not found: "x"\n  at config /process/args', {
  hint: 'Install it.',
});

describe('for a person', () => {
  test('what to do about it, and where it stands, have lines of their own', () => {
    expect(explain(hinted)).toBe('container not running: x\n  hint: Start it.');
    expect(explain(unsupported)).toBe('hooks: not supported\n  at config /hooks/poststop');
    expect(explain(several)).toBe('config.json is not valid:\n  /a: must be a string\n  /b: is required');
    expect(explain(new TypeError('x is undefined'))).toBe('internal error: x is undefined');
  });
});

describe('for a program', () => {
  test('everything is one line', () => {
    expect(explainInLine(hinted)).toBe('container not running: x (Start it.)');
    expect(explainInLine(unsupported)).toBe('hooks: not supported; at config /hooks/poststop');
    expect(explainInLine(refused)).toBe('no such root; at config /root/path');
    expect(explainInLine(several)).toBe('config.json is not valid: /a: must be a string; /b: is required');
    expect(explainInLine(new TypeError('a\nb'))).toBe('internal error: a; b');
  });

  test('that a command cannot be executed is said as a shell says it, and no more', () => {
    expect(explainInLine(missing)).toBe('command not found: "x"');
  });
});
