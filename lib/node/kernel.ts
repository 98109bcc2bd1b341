import { RuntsError } from '../errors.ts';
import type { Kernel } from '../host/host.ts';
import { orThrow } from './failure.ts';
import { openHandle } from './handle.ts';
import { native } from './native.ts';

/** `struct bpf_insn`. */
const instructionBytes = 8;

/** The port `Kernel`. */
export const kernel: Kernel = {
  blob: (content) => orThrow(native.blob(content), 'memfd'),

  async filterDevices(cgroup, program) {
    if (program.length === 0 || program.length % instructionBytes !== 0) {
      throw new RuntsError('ERR_INTERNAL', `${program.length} bytes are no eBPF program`);
    }
    orThrow(await native.filterDevices(openHandle(cgroup, 'cgroup'), program), undefined, 'bpf');
  },
};
