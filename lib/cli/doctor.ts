import { type Check, examine } from '../host/doctor.ts';
import type { Command } from './command.ts';
import type { World } from './world.ts';

/** `runts doctor`: what this host can do. */
export const doctor: Command = {
  synopsis: [''],
  text: `Tries what containers need on this host, by doing it, and says for each thing that cannot be done why, and what to do.
Exits with 0 when containers can be made, and with 1 when they cannot.`,
  flags: {},
  docker: true,
  main: (_parsed, { world }) => printChecks(world),
};

async function printChecks(world: World): Promise<number> {
  const checks = await examine(world.host);
  for (const check of checks) world.print(show(check));
  return checks.every((check) => check.ok || !check.needed) ? 0 : 1;
}

function show({ name, ok, detail, why, hint }: Check): string {
  const lines = [`${ok ? 'yes' : 'NO '}  ${name.padEnd(32)}${detail}`];
  if (why !== undefined) lines.push(`       why: ${why}`);
  if (hint !== undefined) lines.push(`       what to do: ${hint}`);
  return `${lines.join('\n')}\n`;
}
