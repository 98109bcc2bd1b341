import { RuntsError } from '../errors.ts';
import { bounded as boundedWhole, type Patience } from '../host/bounded.ts';
import { throwIfCanceled } from '../host/cancel.ts';
import type { CgroupFiles, Files, Host } from '../host/host.ts';
import { withPorts } from '../host/ports.ts';

export type { Patience };

/**
 * In the place of lib/host/bounded.ts. Calls about files do not leave the thread: they are over before anybody could stop
 * waiting for them, and a timer for each would be for nothing. A pipe and a lock have limits of their own.
 */
export function bounded(host: Host, patience: Patience): Host {
  const known = last.get(host);
  const same = known?.patience.cancel === patience.cancel && known?.patience.deadlineMs === patience.deadlineMs;
  if (known !== undefined && same) return known.host;
  const made = make(host, patience);
  last.set(host, { patience, host: made });
  return made;
}

/** Each step of an operation asks for the same. */
const last = new WeakMap<Host, { readonly patience: Patience; readonly host: Host }>();

function make(host: Host, patience: Patience): Host {
  const { cancel } = patience;
  const refused = async (name: string): Promise<never> => {
    throwIfCanceled(cancel, `the call ${name} of a file`);
    throw new RuntsError('ERR_INTERNAL', `${name}: refused without a cancellation`);
  };
  const atOnce = <T extends CgroupFiles | Files>(files: T): T => {
    if (cancel === undefined) return files;
    const calls = Object.entries(files).map(([name, call]) => {
      const checked = (...given: unknown[]): unknown => (cancel.aborted ? refused(name) : call(...given));
      return [name, checked];
    });
    return Object.fromEntries(calls);
  };
  const whole = boundedWhole(host, patience);
  return withPorts(host, {
    files: () => atOnce(host.files),
    cgroups: () => atOnce(host.cgroups),
    processes: () => whole.processes,
    sockets: () => whole.sockets,
    kernel: () => whole.kernel,
  });
}
