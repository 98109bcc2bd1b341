import { type ContainerRequest, planContainer } from '../plan/container.ts';
import type { Facts } from '../plan/facts.ts';
import type { Plan } from '../plan/plan.ts';
import type { Host } from './host.ts';
import { lookUp } from './lookups.ts';
import { checkView, withOwnTimeAgain } from './view.ts';

/** What a plan was made of, but for what was looked up. */
export interface Kept {
  readonly request: Omit<ContainerRequest, 'lookups'>;
  /** Its time since boot begins with it, at each start. */
  readonly ownTime?: boolean | undefined;
}

/** The plan of a container that is started once more: of what it was made of, as this host is now. */
export async function planAgain(host: Host, facts: Facts, { request, ownTime }: Kept): Promise<Plan> {
  if (request.systemView === 'limits') await checkView(host);
  const spec = ownTime === true ? await withOwnTimeAgain(host, request.spec) : request.spec;
  const lookups = await lookUp(host, spec, request.bundle);
  return planContainer({ ...request, spec, lookups }, facts);
}
