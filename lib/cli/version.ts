import { features } from '../plan/features.ts';
import { ociVersion } from '../spec/defaults.ts';
import type { World } from './world.ts';

/**
 * What engines read of `--version`: dockerd and podman the first line and `commit:`, containerd `spec:` too, and whoever
 * knows crun the line of parts.
 */
export function versionText({ name, version, commit }: World): string {
  const { linux } = features(version);
  const parts = [
    linux.cgroup.systemd && 'SYSTEMD',
    linux.selinux.enabled && 'SELINUX',
    linux.apparmor.enabled && 'APPARMOR',
    'CAP',
    linux.seccomp.enabled && 'SECCOMP',
    'EBPF',
  ].filter((part) => part !== false);
  const lines = [
    `${name} version ${version}`,
    `commit: ${commit() ?? 'unknown'}`,
    `spec: ${ociVersion}`,
    parts.map((part) => `+${part}`).join(' '),
  ];
  return lines.map((line) => `${line}\n`).join('');
}
