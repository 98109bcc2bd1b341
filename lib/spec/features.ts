import { memoryPolicies, memoryPolicyFlags } from './check-linux.ts';
import { ociVersion } from './defaults.ts';
import { capabilityNames, namespaceTypes } from './names.ts';

/** What other layers know, and this one may not ask them for. */
export interface KnownWords {
  readonly mountOptions: readonly string[];
  readonly seccomp: {
    readonly actions: readonly string[];
    readonly operators: readonly string[];
    readonly archs: readonly string[];
    readonly flags: readonly string[];
  };
  readonly version: string;
}

/** The hooks of a configuration, in the order in which they run. */
export const hookNames = [
  'prestart',
  'createRuntime',
  'createContainer',
  'startContainer',
  'poststart',
  'poststop',
] as const;

/** Annotations that change what is done with a container, so that whoever lets strangers write them should know. */
export const unsafeAnnotations: readonly string[] = ['org.systemd.property.'];

const sorted = (words: readonly string[]): readonly string[] => [...words].sort();
const enabled = { enabled: true };

/** What this runtime knows of the specification (features.md), whatever the host is capable of. */
export function featuresOf({ mountOptions, seccomp, version }: KnownWords) {
  const { actions, operators, archs, flags } = seccomp;
  return {
    ociVersionMin: '1.0.0',
    ociVersionMax: ociVersion,
    hooks: hookNames,
    mountOptions: sorted(mountOptions),
    linux: {
      namespaces: sorted(namespaceTypes),
      capabilities: capabilityNames,
      // Of cgroup v1 the runtime knows nothing: on a hybrid host it uses the v2 tree for what that has.
      cgroup: { v1: false, v2: true, systemd: true, systemdUser: true, rdma: true },
      seccomp: {
        ...enabled,
        actions: sorted(actions),
        operators: sorted(operators),
        archs: sorted(archs),
        knownFlags: sorted(flags),
        supportedFlags: sorted(flags),
      },
      apparmor: enabled,
      selinux: enabled,
      intelRdt: { ...enabled, schemata: true, monitoring: true },
      memoryPolicy: { modes: memoryPolicies, flags: memoryPolicyFlags },
      mountExtensions: { idmap: enabled },
      netDevices: enabled,
    },
    annotations: {
      'org.opencontainers.runc.checkpoint.enabled': 'false',
      'runts.version': version,
    },
    potentiallyUnsafeConfigAnnotations: unsafeAnnotations,
  };
}
