import { specError } from '../../errors.ts';
import { stringifyJson } from '../../spec/json.ts';
import type { Command } from '../command.ts';
import { durationMs } from '../duration.ts';
import { isOn, textOf } from '../parse.ts';
import { onlyId } from './common.ts';

/** `runts events`. */
export const events: Command = {
  synopsis: ['[OPTIONS] ID'],
  text: `Prints a line of JSON with what a container uses, again after each interval, and one when its memory ran out, until it
has ended: {"type": "stats" or "oom", "id": …, "data": …}.`,
  flags: {
    interval: { names: ['--interval'], value: 'DURATION', doc: 'time between two of them: 5s (default), 100ms, 1m30s' },
    stats: { names: ['--stats'], doc: 'print it once and end' },
  },
  grammar: { anywhere: true, lenient: true },
  words: 'containers',
  async main(parsed, { world, root }) {
    const id = onlyId('events', parsed);
    const text = textOf(parsed, 'interval') ?? '5s';
    const intervalMs = durationMs(text);
    if (intervalMs === undefined) {
      const message = `must be a duration above 0, such as 5s or 100ms, not ${JSON.stringify(text)}`;
      throw specError('invalid options', [{ path: '--interval', message }]);
    }
    const { containerEvents, containerStats } = await import('../../host/oci/events.ts');
    const print = (event: object): void => world.print(`${stringifyJson(event)}\n`);
    if (isOn(parsed, 'stats')) print({ type: 'stats', id, data: await containerStats(world.host, root, id) });
    else for await (const event of containerEvents(world.host, root, id, { intervalMs })) print(event);
    return 0;
  },
};
