import { optionWords } from '../rootfs/options.ts';
import { actions, architectures, flags, operators } from '../seccomp/profile.ts';
import { featuresOf } from '../spec/features.ts';

/** The features document of this version, of the very tables that configurations are read by. */
export const features = (version: string) =>
  featuresOf({
    mountOptions: optionWords,
    seccomp: { actions: Object.keys(actions), operators, archs: architectures, flags: Object.keys(flags) },
    version,
  });
