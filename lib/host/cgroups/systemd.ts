import type { Value, Variant } from '../../dbus/types.ts';
import { RuntsError } from '../../errors.ts';
import { type Property, supported } from '../../plan/cgroup.ts';
import { Bus, BusError } from '../bus.ts';
import { errnoOf } from '../failure.ts';
import type { Host } from '../host.ts';
import { messageOf } from '../undo.ts';
import { until } from './files.ts';

export type Manager = 'system' | 'user';

const service = 'org.freedesktop.systemd1';
const managerPath = '/org/freedesktop/systemd1';
const managerInterface = `${service}.Manager`;
/** How long a job may take: on a busy machine systemd has others before it. */
const jobMs = 25_000;
const waiting = '`systemctl list-jobs` tells what systemd waits for.';

/** Asks a manager of units; the connection is closed when the work is done. */
async function withManager<T>(host: Host, manager: Manager, work: (systemd: Systemd) => Promise<T>): Promise<T> {
  const bus = await connect(host, manager);
  try {
    return await work(new Systemd(host, bus));
  } catch (error) {
    if (!(error instanceof BusError)) throw error;
    throw new RuntsError('ERR_SETUP', `systemd refuses: ${error.message}`, { cause: error });
  } finally {
    bus.close();
  }
}

/** The manager's own socket, which is there without a bus; else the bus. */
async function connect(host: Host, manager: Manager): Promise<Bus> {
  const { runtimeDirectory } = host.environment;
  const [own, shared] =
    manager === 'system'
      ? ['/run/systemd/private', '/run/dbus/system_bus_socket']
      : [`${runtimeDirectory}/systemd/private`, `${runtimeDirectory}/bus`];
  const errors: unknown[] = [];
  for (const [path, kind] of [[own, 'private'] as const, [shared, 'bus'] as const]) {
    try {
      return await Bus.open(host, path, kind);
    } catch (error) {
      if (RuntsError.is(error) && error.code === 'ERR_CANCELED') throw error;
      errors.push(error);
    }
  }
  const why = errors.map((error) => errnoOf(error) ?? messageOf(error)).join(', ');
  const hint =
    manager === 'user'
      ? 'XDG_RUNTIME_DIR must be that of a login session with `systemd --user`. Without systemd, use --cgroup-manager cgroupfs.'
      : 'Without systemd as process 1, use --cgroup-manager cgroupfs.';
  throw new RuntsError('ERR_SETUP', `cannot reach systemd's ${manager} manager at ${own} or ${shared}: ${why}`, {
    hint,
    cause: errors,
  });
}

const is = (error: unknown, name: string): boolean => error instanceof BusError && error.error.endsWith(`.${name}`);

/** What systemd refuses is an answer, too. */
function unlessRefused(error: unknown): undefined {
  if (!(error instanceof BusError)) throw error;
  return undefined;
}

class Systemd {
  readonly #host: Host;
  readonly #bus: Bus;

  constructor(host: Host, bus: Bus) {
    this.#host = host;
    this.#bus = bus;
  }

  call(member: string, signature = '', values: readonly Value[] = []): Promise<readonly Value[]> {
    const at = { destination: service, path: managerPath, interface: managerInterface };
    return this.#bus.call({ ...at, member, signature, values });
  }

  /** A property of the manager, or of a unit or a job by its path. */
  async property(path: string, name: string, of: 'Manager' | 'Unit' | 'Job'): Promise<string> {
    const values = [`${service}.${of}`, name];
    const at = { destination: service, path, interface: 'org.freedesktop.DBus.Properties' };
    const [variant] = await this.#bus.call({ ...at, member: 'Get', signature: 'ss', values });
    const value = (variant as Variant | undefined)?.value;
    if (typeof value !== 'string') throw new RuntsError('ERR_SETUP', `systemd gave no text for the property ${name}`);
    return value;
  }

  /** Of a version, the number: `252` of `252.39-1~deb12u1`. */
  async version(): Promise<number> {
    return Number(/\d+/.exec(await this.property(managerPath, 'Version', 'Manager'))?.[0] ?? 0);
  }

  /** `active`, `failed`, …; undefined where there is no such unit. */
  async state(unit: string): Promise<string | undefined> {
    try {
      const [path] = await this.call('GetUnit', 's', [unit]);
      return await this.property(String(path), 'ActiveState', 'Unit');
    } catch (error) {
      if (is(error, 'NoSuchUnit') || is(error, 'UnknownObject')) return undefined;
      throw error;
    }
  }

  /** Waits for the end of a job, however it ends: then it is no more. */
  async finish([job]: readonly Value[], what: string): Promise<void> {
    const isOver = async () =>
      (await this.property(String(job), 'State', 'Job').catch((error: unknown) => {
        if (is(error, 'AccessDenied')) throw error;
        return unlessRefused(error);
      })) === undefined;
    await until(this.#host, isOver, `systemd to ${what}`, waiting, jobMs);
  }
}

export interface Place {
  /** The cgroup that a manager is in, below which its slices are: empty for the system's. */
  readonly cgroup: string;
  /** Whether there is a unit of this name that has not ended. */
  readonly taken: boolean;
}

/** Where a manager would put a unit. */
export function lookUpUnit(host: Host, manager: Manager, unit: string): Promise<Place> {
  return withManager(host, manager, async (systemd) => {
    const cgroup = await systemd.property(managerPath, 'ControlGroup', 'Manager');
    const state = (await systemd.state(unit)) ?? 'inactive';
    return { cgroup: cgroup.replace(/\/+$/, ''), taken: state !== 'inactive' && state !== 'failed' };
  });
}

/** Makes a scope. `accepted` hears when there may be one, which is then ours to stop. */
export async function startScope(
  host: Host,
  manager: Manager,
  unit: string,
  properties: readonly Property[],
  accepted: () => void,
): Promise<void> {
  await withManager(host, manager, async (systemd) => {
    const known = supported(properties, await systemd.version());
    const start = async () => {
      try {
        return await systemd.call('StartTransientUnit', 'ssa(sv)a(sa(sv))', [
          unit,
          'replace',
          known as unknown as Value,
          [],
        ]);
      } catch (error) {
        if (!(error instanceof BusError)) accepted();
        throw error;
      }
    };
    const job = await start()
      .catch(async (error: unknown) => {
        if (!is(error, 'UnitExists')) throw error;
        // A scope of this name that failed is remembered until somebody says that it need not be.
        await systemd.call('ResetFailedUnit', 's', [unit]).catch(unlessRefused);
        return await start();
      })
      .catch((error: unknown) => {
        if (!(error instanceof BusError)) throw error;
        throw new RuntsError('ERR_SETUP', `cannot make the scope ${unit}: ${error.message}`, {
          origin: '/linux/cgroupsPath',
          hint: is(error, 'UnitExists') ? 'Choose another id, or another linux.cgroupsPath.' : undefined,
          cause: error,
        });
      });
    accepted();
    await systemd.finish(job, `start the scope ${unit}`);
    const state = await systemd.state(unit);
    if (state === 'active') return;
    throw new RuntsError('ERR_SETUP', `systemd could not start the scope ${unit}: it is ${state ?? 'gone'}`, {
      hint: `\`journalctl${manager === 'user' ? ' --user' : ''} --unit ${unit}\` may tell why.`,
    });
  });
}

/** Kills what is in a scope, ends and forgets it; one that is gone is fine. */
export async function stopScope(host: Host, manager: Manager, unit: string): Promise<void> {
  await withManager(host, manager, async (systemd) => {
    // By SIGKILL, at once: to SIGTERM the first process of a pid namespace need not listen.
    await systemd.call('KillUnit', 'ssi', [unit, 'all', 9]).catch(unlessRefused);
    const job = await systemd.call('StopUnit', 'ss', [unit, 'replace']).catch(unlessRefused);
    if (job !== undefined) await systemd.finish(job, `stop the scope ${unit}`);
    await systemd.call('ResetFailedUnit', 's', [unit]).catch(unlessRefused);
    const state = (await systemd.state(unit)) ?? 'inactive';
    if (state !== 'inactive' && state !== 'failed') {
      throw new RuntsError('ERR_SETUP', `systemd could not stop the scope ${unit}: it is ${state}`, { hint: waiting });
    }
  });
}

/** Tells systemd of limits that are about to change, so that it keeps them. */
export async function setProperties(
  host: Host,
  manager: Manager,
  unit: string,
  properties: readonly Property[],
): Promise<void> {
  await withManager(host, manager, async (systemd) => {
    const version = await systemd.version();
    const known = supported(properties, version);
    if (known.length === 0) return;
    await systemd
      .call('SetUnitProperties', 'sba(sv)', [unit, true, known as unknown as Value])
      .catch((error: unknown) => {
        if (!(error instanceof BusError)) throw error;
        throw new RuntsError('ERR_SETUP', `cannot change the limits of the scope ${unit}: ${error.message}`, {
          cause: error,
        });
      });
    // It answers before it writes them. What we write afterwards is to be the last word: it comes to the next question
    // only when it has written.
    await systemd.version();
  });
}

/** Moves a process into a scope, or a cgroup below it, where only systemd may: from a session that is not delegated. */
export async function attachProcess(
  host: Host,
  manager: Manager,
  unit: string,
  below: string,
  pid: number,
): Promise<void> {
  await withManager(host, manager, async (systemd) => {
    await systemd.call('AttachProcessesToUnit', 'ssau', [unit, below, [pid]]).catch((error: unknown) => {
      if (!(error instanceof BusError)) throw error;
      throw new RuntsError('ERR_SETUP', `cannot move process ${pid} to the scope ${unit}: ${error.message}`, {
        cause: error,
      });
    });
  });
}
