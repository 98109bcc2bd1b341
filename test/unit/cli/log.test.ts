import { describe, expect, test } from 'vitest';
import { Log, type LogOptions } from '../../../lib/cli/log.ts';

function logged(options: LogOptions, write: (log: Log) => void) {
  const files = new Map<string, string>();
  let stderr = '';
  const log = new Log(
    {
      append: (path, text) => void files.set(path, (files.get(path) ?? '') + text),
      printError: (text) => {
        stderr += text;
      },
      time: () => '2026-01-02T03:04:05.678Z',
    },
    options,
  );
  write(log);
  return { stderr, files: Object.fromEntries(files) };
}
const everything = (log: Log): void => {
  log.debug('a "d"');
  log.warn('w');
  log.error('e; more (hint)', 'runts: e\n  hint: more');
};

test('in a file: a line for each entry, and standard error has what a person reads', () => {
  expect(logged({ path: '/l', format: 'json', level: 'warning' }, everything)).toEqual({
    files: {
      '/l':
        '{"level":"warning","msg":"w","time":"2026-01-02T03:04:05.678Z"}\n' +
        '{"level":"error","msg":"e; more (hint)","time":"2026-01-02T03:04:05.678Z"}\n',
    },
    stderr: 'runts: e\n  hint: more\n',
  });
});

test('as text, with everything', () => {
  const { files } = logged({ path: '/l', format: 'text', level: 'debug' }, everything);
  expect(files['/l']).toBe(
    [
      'time="2026-01-02T03:04:05.678Z" level=debug msg="a \\"d\\""',
      'time="2026-01-02T03:04:05.678Z" level=warning msg="w"',
      'time="2026-01-02T03:04:05.678Z" level=error msg="e; more (hint)"',
      '',
    ].join('\n'),
  );
});

describe('without a file', () => {
  test('the log is on standard error, and an error once', () => {
    expect(logged({ format: 'text', level: 'warning' }, everything).stderr).toBe(
      'time="2026-01-02T03:04:05.678Z" level=warning msg="w"\nrunts: e\n  hint: more\n',
    );
  });

  test('as JSON, every line of it is an object', () => {
    const { stderr } = logged({ format: 'json', level: 'error' }, everything);
    expect(JSON.parse(stderr)).toMatchObject({ level: 'error', msg: 'e; more (hint)' });
  });
});

test('a log that cannot be opened is told at once', () => {
  const append = (): never => {
    throw new Error('ENOENT');
  };
  const sink = { append, printError: () => {}, time: () => '' };
  expect(() => new Log(sink, { path: '/nosuch/log', format: 'text', level: 'error' })).toThrow('ENOENT');
});
