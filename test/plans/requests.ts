import { readFileSync } from 'node:fs';
import type { ContainerRequest } from '../../lib/plan/container.ts';
import type { Facts } from '../../lib/plan/facts.ts';
import type { Plan } from '../../lib/plan/plan.ts';
import { explain } from '../../lib/program/explain.ts';
import { defaultSpec } from '../../lib/spec/defaults.ts';
import type { Draft, Process, Spec } from '../../lib/spec/types.ts';

/** Facts that were recorded on a host of this kind. */
export function facts(kind: 'root' | 'rootless' | 'single-id'): Facts {
  const recorded = JSON.parse(readFileSync(new URL(`facts/${kind}.json`, import.meta.url), 'utf8'));
  // JSON has no undefined.
  return { ...recorded, cgroup: { ...recorded.cgroup, parent: recorded.cgroup.parent ?? undefined } };
}

export type DraftSpec = Draft<Spec> & { process: Draft<Process> };

/** A request for Docker's default container, edited. */
export function request(
  edit: (spec: DraftSpec) => void = () => {},
  options: Partial<ContainerRequest> = {},
): ContainerRequest {
  const spec = defaultSpec() as DraftSpec;
  edit(spec);
  return {
    id: 'demo',
    spec: spec as Spec,
    root: { kind: 'directory', path: '/images/demo' },
    reap: true,
    stdio: 'pipes',
    ownStdio: true,
    ...options,
  };
}

/** A plan as lines, without numbers and columns, so that a change shows as the lines that changed. */
export const rows = ({ segment }: Pick<Plan, 'segment'>): string[] =>
  explain(segment)
    .split('\n')
    .map((row) => row.replace(/^ *\d+ {2}/, '').replace(/ {2,}/g, '  '));
