import { RuntsError } from '../errors.ts';
import type { Builder } from '../program/builder.ts';
import type { NamespaceType } from '../spec/names.ts';

export interface Names {
  readonly hostname?: string | undefined;
  readonly domainname?: string | undefined;
}

/** Sets the container's names in its UTS namespace, and never the host's. */
export function setNames(ops: Builder, names: Names, own: ReadonlySet<NamespaceType>): void {
  for (const key of ['hostname', 'domainname'] as const) {
    const name = names[key];
    if (name === undefined || name === '') continue;
    if (!own.has('uts')) {
      throw new RuntsError('ERR_SPEC', `cannot set the ${key}: the container has no UTS namespace of its own`, {
        origin: `/${key}`,
        issues: [{ path: `/${key}`, message: 'needs a new UTS namespace' }],
        hint: `Add {"type": "uts"} to linux.namespaces, or leave ${key} away.`,
      });
    }
    ops.op(key, { name }, `/${key}`);
  }
}
