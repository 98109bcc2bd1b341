import { RuntsError } from '../errors.ts';
import type { Kernel } from '../host/host.ts';
import { orThrow } from './failure.ts';
import { openHandle } from './handle.ts';
import { native } from './native.ts';

/** `struct bpf_insn`. */
const instructionBytes = 8;

const quotactl = 'quotactl_fd';

/** The port `Kernel`. */
export const kernel: Kernel = {
  blob: (content) => orThrow(native.blob(content), 'memfd'),

  async filterDevices(cgroup, program) {
    if (program.length === 0 || program.length % instructionBytes !== 0) {
      throw new RuntsError('ERR_INTERNAL', `${program.length} bytes are no eBPF program`);
    }
    orThrow(await native.filterDevices(openHandle(cgroup, 'cgroup'), program), undefined, 'bpf');
  },

  projectQuota: async (directory, project) =>
    orThrow(native.projectQuota(openHandle(directory, 'directory'), project), undefined, quotactl),
  async limitProject(directory, project, bytes) {
    orThrow(native.limitProject(openHandle(directory, 'directory'), project, bytes), undefined, quotactl);
  },
  async setProject(directory, project) {
    orThrow(native.setProject(openHandle(directory, 'directory'), project));
  },
};
