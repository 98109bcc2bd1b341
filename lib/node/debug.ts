import createDebug from 'debug';
import type { Host } from '../host/host.ts';
import type { Segment } from '../plan/plan.ts';
import { traceLine } from '../program/trace.ts';
import { observed } from './observed.ts';

const say = createDebug('runts:host');

const sayTime = createDebug('runts:trace');

/** With `DEBUG=runts:trace`, tells how long the init took for each op of a container; else there is nothing to be measured. */
export function traced(id: string, { ops }: Pick<Segment, 'ops'>): { trace?: (op: number, ns: bigint) => void } {
  if (!sayTime.enabled) return {};
  return { trace: (op, ns) => sayTime('%s %s', id.slice(0, 12), traceLine(ops[op]!, op, ns)) };
}

/** With `DEBUG=runts:host`, tells of every call that the core makes of this host, and what came of it. */
export function debugged(host: Host): Host {
  return say.enabled ? observed(host, (line) => say('%s', line)) : host;
}
