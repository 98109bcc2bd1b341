import { RuntsError } from '../../errors.ts';
import type { Host } from '../../host/host.ts';
import type { Command } from '../command.ts';
import type { Flags } from '../parse.ts';
import { choice, wrongCount } from './common.ts';

const flags: Flags = {
  format: { names: ['--format', '-f'], value: 'FORMAT', choices: ['table', 'json'], doc: 'table (default) or json' },
};

/** `runts ps`. */
export const ps: Command = {
  synopsis: ['[OPTIONS] ID [PS OPTIONS]'],
  text: `Prints the processes of a container: as JSON a list of their numbers, as a table what ps(1) of the host says of them.
Words after the ID are ps's own options; -ef unless there are any.`,
  flags,
  grammar: { lenient: true },
  words: 'containers',
  async main(parsed, { world, root }) {
    const [id, ...options] = parsed.rest;
    if (id === undefined) throw wrongCount('ps', 'a minimum of 1 argument(s): ID', parsed.rest);
    const format = choice(parsed, flags, 'format', 'table');
    const { containerProcesses } = await import('../../host/oci/ps.ts');
    const pids = await containerProcesses(world.host, root, id);
    world.print(format === 'json' ? `${JSON.stringify(pids)}\n` : await table(world.host, pids, options));
    return 0;
  },
};

async function table(host: Host, pids: readonly number[], options: readonly string[]): Promise<string> {
  // The output of a program is bounded: without options of its own it is asked of these processes only.
  const words = options.length > 0 ? options : ['-f', '-p', pids.length > 0 ? pids.join(',') : '1'];
  const { stdout, stderr } = await host.processes.run(await program(host), words);
  return onlyProcesses(stdout, pids, stderr);
}

async function program({ files }: Host): Promise<string> {
  for (const path of ['/usr/bin/ps', '/bin/ps']) if ((await files.kind(path)) === 'file') return path;
  throw new RuntsError('ERR_UNSUPPORTED', 'cannot print a table of processes: there is no ps on this host', {
    hint: 'Install procps, or use --format json.',
  });
}

/** The header and the lines of these processes, of all that ps printed. */
export function onlyProcesses(output: string, pids: readonly number[], said: string): string {
  const [header = '', ...lines] = output.split('\n');
  const column = header.trim().split(/\s+/).indexOf('PID');
  if (column < 0) {
    throw new RuntsError(
      'ERR_SPEC',
      `couldn't find PID field in ps output: ${said.trim() || header || 'it is empty'}`,
      {
        hint: 'Options for ps must leave the column PID in, and its header.',
      },
    );
  }
  const wanted = new Set(pids.map(String));
  const shown = lines.filter((line) => wanted.has(line.trim().split(/\s+/)[column] ?? ''));
  return [header, ...shown].map((line) => `${line}\n`).join('');
}
