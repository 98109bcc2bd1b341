import type { Issue } from '../errors.ts';
import { hooksShape } from './check-hooks.ts';
import { linuxRules, linuxShape } from './check-linux.ts';
import { mountRules, mountsShape, mountWarnings } from './check-mounts.ts';
import { processRules, processShape } from './check-process.ts';
import { resourceRules } from './check-resources.ts';
import { seccompRules } from './check-seccomp.ts';
import { capabilityBit, capabilityHint } from './names.ts';
import { normalizePath } from './paths.ts';
import { pointerOf } from './pointer.ts';
import { brokenRules, type Rule } from './rules.ts';
import {
  anyText,
  boolean,
  isObject,
  issuesMax,
  issuesOf,
  object,
  record,
  required,
  show,
  someText,
  text,
} from './shape.ts';
import type { Process, Spec } from './types.ts';

/** A configuration that can be used, or why not; never both. */
export type CheckedSpec =
  | { readonly spec: Spec; readonly warnings: readonly Issue[]; readonly issues?: undefined }
  | { readonly issues: readonly Issue[]; readonly spec?: undefined; readonly warnings?: undefined };

/** Any version 1: fields that a later minor version adds are ignored, as the specification has it. */
const version = text(
  /^1\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$/,
  'must be a version 1 in SemVer form such as "1.3.0"',
);

/** __NEW_UTS_LEN: the kernel counts bytes, of which a character has one at least. */
const nodeName = text(/^.{0,64}$/s, 'must have at most 64 characters');

const specShape = object({
  ociVersion: required(version),
  process: processShape,
  root: required(object({ path: required(someText), readonly: boolean })),
  hostname: nodeName,
  domainname: nodeName,
  mounts: mountsShape,
  hooks: hooksShape,
  annotations: record(anyText),
  linux: linuxShape,
});

const rules: readonly Rule[] = [
  {
    needs: ['/root/path'],
    check: ({ root: { path } }) =>
      path.startsWith('/') && normalizePath(path) === '/'
        ? [{ path: '/root/path', message: `must not be the host's own root, ${JSON.stringify(path)}` }]
        : [],
  },
  ...processRules,
  ...mountRules,
  ...resourceRules,
  ...linuxRules,
  ...seccompRules,
];

/**
 * Decides whether a value is a configuration that a container can be made of, and says everything that is wrong with it
 * at once. Never throws. Warnings are of what the specification wants to be accepted all the same.
 *
 * What depends on this host (kernel, delegation, files) is not looked at: that is the compiler's, with facts.
 */
export function checkSpec(value: unknown): CheckedSpec {
  const found = issuesOf(value, specShape);
  const spec = completed(value);
  // Rules stand on the types of fields: where not all that is wrong with these is known, nothing can be said.
  const groundless = found.some((issue) => issue.path === '') || found.length >= issuesMax;
  const issues = groundless ? found : [...found, ...brokenRules(spec, rules, found)];
  if (issues.length > 0) return { issues };
  return {
    spec,
    warnings: [...mountWarnings(spec.mounts ?? []), ...capabilityWarnings(spec.process)],
  };
}

/**
 * With what callers leave unsaid, and every runtime in use takes for said: the ids of root, and no namespaces. Any value
 * may come in; what has the wrong type stays as it is.
 */
function completed(value: unknown): Spec {
  if (!isObject(value)) return value as Spec;
  const { process, linux = {} } = value;
  return {
    ...value,
    ...(isObject(process) && { process: { ...process, user: withIds(process['user'] ?? {}) } }),
    linux: isObject(linux) ? { ...linux, namespaces: linux['namespaces'] ?? [] } : linux,
  } as unknown as Spec;
}

const withIds = (user: unknown) => (isObject(user) ? { ...user, uid: user['uid'] ?? 0, gid: user['gid'] ?? 0 } : user);

const capabilitySets = ['bounding', 'effective', 'permitted', 'inheritable', 'ambient'] as const;

/** A capability that is not known must not fail (config.md): the container runs with less than it asked for. */
function capabilityWarnings(process: Process | undefined): Issue[] {
  const sets = process?.capabilities ?? {};
  const unknown = capabilitySets.flatMap((set) =>
    (sets[set] ?? []).flatMap((name, i) =>
      capabilityBit(name) !== undefined
        ? []
        : [
            {
              path: pointerOf('process', 'capabilities', set, i),
              message: `unknown capability ${show(name)}${capabilityHint(name)}`,
            },
          ],
    ),
  );
  const raised = new Set((sets.permitted ?? []).filter((name) => sets.inheritable?.includes(name)));
  const idle = (sets.ambient ?? []).filter((name) => capabilityBit(name) !== undefined && !raised.has(name));
  if (idle.length === 0) return unknown;
  // In one line, and in words that callers of runtimes know.
  const message = `can't raise ambient capability ${idle.join(', ')}: only what is permitted and inheritable can be ambient`;
  return [...unknown, { path: pointerOf('process', 'capabilities', 'ambient'), message }];
}
