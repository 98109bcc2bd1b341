import { RuntsError } from '../errors.ts';
import { hintFor } from '../hints.ts';
import type { IdMap, Maps } from '../plan/plan.ts';
import { refused } from './failure.ts';
import type { Host, Session } from './host.ts';

/** Writes the id maps that were asked for with a process, unless they came with it. */
export async function completeMaps(host: Host, session: Session, maps: Maps | undefined): Promise<void> {
  const { mapped, unmapped, pid } = session;
  if (maps === undefined || mapped === true) return;
  if (unmapped !== undefined) throw refusedMap(unmapped.error, unmapped.file, maps);
  await writeMaps(host, pid, maps);
}

const refusedMap = (error: unknown, file: string, { origin }: Maps) =>
  refused(error, { at: 'maps', doing: `write the id map ${file}`, origin });

/** Writes the id maps of the user namespace of a new process, directly or by newuidmap and newgidmap. */
export async function writeMaps(host: Host, pid: number, maps: Maps): Promise<void> {
  const write = async (file: string, text: string): Promise<void> => {
    try {
      await host.files.write(`/proc/${pid}/${file}`, text);
    } catch (error) {
      throw refusedMap(error, file, maps);
    }
  };
  // Before the gid map: without this the kernel lets nobody without privileges write one (user_namespaces(7)).
  if (maps.setgroups === 'deny') await write('setgroups', 'deny');
  const both =
    maps.by === 'write'
      ? [write('uid_map', mapText(maps.uids)), write('gid_map', mapText(maps.gids))]
      : [
          runMapper(host, 'newuidmap', pid, maps.uids, maps.origin),
          runMapper(host, 'newgidmap', pid, maps.gids, maps.origin),
        ];
  // Both at once, and both to their end: one that still ran after a failure would write to whatever has the pid then.
  const outcomes = await Promise.allSettled(both);
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}

/** As the kernel reads them. */
export const mapText = (maps: readonly IdMap[]) => maps.map((m) => `${m.container} ${m.host} ${m.size}\n`).join('');

type Mapper = 'newuidmap' | 'newgidmap';

async function runMapper(host: Host, name: Mapper, pid: number, maps: readonly IdMap[], origin: string): Promise<void> {
  const file = host.environment.programs[name];
  if (file === undefined) {
    throw new RuntsError('ERR_UNSUPPORTED', `cannot map more than one id: ${name} was not found on this host`, {
      origin,
      hint: 'Install it: the package is uidmap (Debian, Ubuntu) or shadow-utils (Fedora).',
    });
  }
  const args = [String(pid), ...maps.flatMap((m) => [String(m.container), String(m.host), String(m.size)])];
  const result = await host.processes.run(file, args).catch((error: unknown) => {
    throw refused(error, { at: 'newuidmap', doing: `run ${file}`, origin });
  });
  if (result.code === 0) return;
  const said = result.stderr.trim();
  throw new RuntsError('ERR_SETUP', `${name} failed with exit code ${result.code}${said === '' ? '' : `: ${said}`}`, {
    origin,
    hint: hintFor({ at: 'newuidmap', errno: 'exit', detail: said }),
  });
}
