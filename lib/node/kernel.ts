import { RuntsError } from '../errors.ts';
import type { Kernel } from '../host/host.ts';
import { orThrow } from './failure.ts';
import { native } from './native.ts';

/** The port `Kernel`. */
export const kernel: Kernel = {
  blob: (content) => orThrow(native.blob(content), 'memfd'),
  filterDevices: () => Promise.reject(new RuntsError('ERR_INTERNAL', 'not there yet')),
};
