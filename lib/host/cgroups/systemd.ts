import type { Property } from '../../cgroups/scope.ts';
import type { Value } from '../../dbus/types.ts';
import { RuntsError } from '../../errors.ts';
import { Bus, BusError } from '../bus.ts';
import { errnoOf } from '../failure.ts';
import type { Host } from '../host.ts';
import { messageOf } from '../undo.ts';
import { until } from './files.ts';

export type Manager = 'system' | 'user';

const service = 'org.freedesktop.systemd1';
const managerPath = '/org/freedesktop/systemd1';
const managerInterface = `${service}.Manager`;

/** Asks a manager of units; the connection is closed when the work is done. */
async function withManager<T>(host: Host, manager: Manager, work: (systemd: Systemd) => Promise<T>): Promise<T> {
  const bus = await connect(host, manager);
  try {
    return await work(new Systemd(bus));
  } finally {
    bus.close();
  }
}

/** The manager's own socket, which is there without a bus; else the bus. */
async function connect(host: Host, manager: Manager): Promise<Bus> {
  const { runtimeDirectory } = host.environment;
  const places =
    manager === 'system'
      ? (['/run/systemd/private', 'private', '/run/dbus/system_bus_socket', 'bus'] as const)
      : ([`${runtimeDirectory}/systemd/private`, 'private', `${runtimeDirectory}/bus`, 'bus'] as const);
  const errors: unknown[] = [];
  for (const [path, kind] of [places.slice(0, 2), places.slice(2)] as [string, 'private' | 'bus'][]) {
    try {
      return await Bus.open(host, path, kind);
    } catch (error) {
      errors.push(error);
    }
  }
  const why = errors.map((error) => errnoOf(error) ?? messageOf(error)).join(', ');
  throw new RuntsError(
    'ERR_SETUP',
    `cannot reach systemd's ${manager} manager at ${places[0]} or ${places[2]}: ${why}`,
    {
      hint:
        manager === 'user'
          ? 'XDG_RUNTIME_DIR must be that of a login session with `systemd --user`; without systemd, --cgroup-manager cgroupfs.'
          : 'Without systemd as process 1, use --cgroup-manager cgroupfs.',
      cause: errors,
    },
  );
}

class Systemd {
  readonly #bus: Bus;

  constructor(bus: Bus) {
    this.#bus = bus;
  }

  call(member: string, signature = '', values: readonly Value[] = []): Promise<readonly Value[]> {
    const at = { destination: service, path: managerPath, interface: managerInterface };
    return this.#bus.call({ ...at, member, signature, values });
  }

  /** A property of the manager, or of a unit by its path. */
  async property(path: string, name: string, interfaceName: string): Promise<Value> {
    const values = [interfaceName, name];
    const at = { destination: service, path, interface: 'org.freedesktop.DBus.Properties' };
    const [variant] = await this.#bus.call({ ...at, member: 'Get', signature: 'ss', values });
    return (variant as { readonly value: Value }).value;
  }

  /** `active`, `failed`, …; undefined where there is no such unit. */
  async state(unit: string): Promise<string | undefined> {
    try {
      const [path] = await this.call('GetUnit', 's', [unit]);
      return (await this.property(path as string, 'ActiveState', `${service}.Unit`)) as string;
    } catch (error) {
      if (error instanceof BusError) return undefined;
      throw error;
    }
  }
}

/** The cgroup that a manager is in, below which its slices are: `/` of the system's. */
export function managerCgroup(host: Host, manager: Manager): Promise<string> {
  return withManager(host, manager, async (systemd) => {
    const cgroup = (await systemd.property(managerPath, 'ControlGroup', managerInterface)) as string;
    return cgroup.replace(/\/+$/, '');
  });
}

export async function startScope(
  host: Host,
  manager: Manager,
  unit: string,
  properties: readonly Property[],
): Promise<void> {
  await withManager(host, manager, async (systemd) => {
    const start = () =>
      systemd.call('StartTransientUnit', 'ssa(sv)a(sa(sv))', [unit, 'replace', properties as unknown as Value, []]);
    try {
      await start().catch(async (error: unknown) => {
        if (!(error instanceof BusError) || !error.error.endsWith('.UnitExists')) throw error;
        // A scope of this name that failed is remembered until somebody says that it need not be.
        await systemd.call('ResetFailedUnit', 's', [unit]).catch(() => undefined);
        await start();
      });
    } catch (error) {
      if (!(error instanceof BusError)) throw error;
      throw new RuntsError('ERR_SETUP', `cannot make the scope ${unit}: ${error.message}`, {
        origin: '/linux/cgroupsPath',
        hint: error.error.endsWith('.UnitExists') ? 'Choose another id, or another linux.cgroupsPath.' : undefined,
        cause: error,
      });
    }
    const isThere = async (): Promise<boolean> => {
      const state = await systemd.state(unit);
      if (state === 'failed') throw new RuntsError('ERR_SETUP', `systemd could not start the scope ${unit}`);
      return state === 'active';
    };
    await until(host, isThere, `systemd to start the scope ${unit}`, '`systemctl status` tells what it waits for.');
  });
}

/** Ends a scope and forgets it; one that is gone is fine. */
export async function stopScope(host: Host, manager: Manager, unit: string): Promise<void> {
  await withManager(host, manager, async (systemd) => {
    const unlessGone = (error: unknown): void => {
      if (!(error instanceof BusError)) throw error;
    };
    await systemd.call('StopUnit', 'ss', [unit, 'replace']).catch(unlessGone);
    const isGone = async (): Promise<boolean> => {
      const state = await systemd.state(unit);
      return state === undefined || state === 'inactive' || state === 'failed';
    };
    await until(host, isGone, `systemd to stop the scope ${unit}`, '`systemctl status` tells what it waits for.');
    await systemd.call('ResetFailedUnit', 's', [unit]).catch(unlessGone);
  });
}

/** Tells systemd of limits that are about to change, so that it keeps them. */
export async function setProperties(
  host: Host,
  manager: Manager,
  unit: string,
  properties: readonly Property[],
): Promise<void> {
  if (properties.length === 0) return;
  await withManager(host, manager, async (systemd) => {
    const values = [unit, true, properties as unknown as Value];
    await systemd.call('SetUnitProperties', 'sba(sv)', values).catch((error: unknown) => {
      if (!(error instanceof BusError)) throw error;
      throw new RuntsError('ERR_SETUP', `cannot change the limits of the scope ${unit}: ${error.message}`, {
        cause: error,
      });
    });
  });
}
