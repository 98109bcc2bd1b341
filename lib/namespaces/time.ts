import type { Builder } from '../program/builder.ts';
import { encodeUtf8 } from '../program/utf8.ts';
import { namespaceFlags } from '../spec/names.ts';
import type { TimeOffset } from '../spec/types.ts';

type Offsets = Readonly<Record<string, TimeOffset>>;

/**
 * Makes the new time namespace and sets its clocks; the next fork enters it. `proc` is a procfs that can be trusted: the
 * offsets can be written only while nobody is in the namespace.
 */
export function addTimeNamespace(ops: Builder, proc: () => string, offsets: Offsets): void {
  ops.op('unshare', { flags: namespaceFlags.time }, '/linux/namespaces');
  setClocks(ops, proc, offsets);
}

/** Sets the clocks of a time namespace that was just made. */
export function setClocks(ops: Builder, proc: () => string, offsets: Offsets): void {
  for (const clock of Object.keys(offsets).sort()) {
    const { secs = 0, nanosecs = 0 } = offsets[clock]!;
    const content = encodeUtf8(`${clock} ${secs} ${nanosecs}\n`);
    ops.op('write', { root: proc(), path: 'self/timens_offsets', content }, `/linux/timeOffsets/${clock}`);
  }
}
