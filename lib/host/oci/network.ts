import type { Facts } from '../../plan/facts.ts';
import { netDeviceProgram } from '../../plan/network.ts';
import type { Plan } from '../../plan/plan.ts';
import type { Patience } from '../bounded.ts';
import { refused } from '../failure.ts';
import type { Host } from '../host.ts';
import { runProgram } from '../program.ts';

/** Moves the network devices of a plan into the network namespace of the container's process. */
export async function moveNetDevices(
  host: Host,
  plan: Plan,
  pid: number,
  facts: Facts,
  patience: Patience,
): Promise<void> {
  if (plan.netDevices === undefined || plan.netDevices.length === 0) return;
  const path = `/proc/${pid}/ns/net`;
  const netns = await host.files.open(path, 'read').catch((error: unknown) => {
    throw refused(error, { at: 'input', doing: `open the network namespace ${path}`, origin: '/linux/netDevices' });
  });
  try {
    await runProgram(host, { segment: netDeviceProgram(plan.netDevices), inputs: [netns], facts }, patience);
  } finally {
    netns.close();
  }
}
