import { RuntsError } from '../errors.ts';
import type { Builder } from '../program/builder.ts';
import { encodeUtf8 } from '../program/utf8.ts';
import type { NamespaceType } from '../spec/names.ts';
import { pointer } from '../spec/pointer.ts';
import { sysctlFault, sysctlPath } from '../spec/sysctl.ts';

/**
 * Writes the kernel parameters of the container's own namespaces through a procfs of our own. One value goes to one
 * file: neither a name nor a value can reach another (CVE-2022-0811).
 */
export function writeSysctls(
  ops: Builder,
  proc: () => string,
  sysctls: Readonly<Record<string, string>>,
  own: ReadonlySet<NamespaceType>,
): void {
  for (const name of Object.keys(sysctls)) {
    const origin = pointer('/linux/sysctl', name);
    const fault = sysctlFault(name, own);
    if (fault !== undefined) {
      throw new RuntsError('ERR_SPEC', `cannot set the kernel parameter ${name}: it ${fault}`, {
        origin,
        issues: [{ path: origin, message: fault }],
      });
    }
    const content = encodeUtf8(sysctls[name]!);
    ops.op('write', { root: proc(), path: `sys/${sysctlPath(name)}`, content }, origin);
  }
}
