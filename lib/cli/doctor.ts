import { type Check, examine } from '../host/doctor.ts';
import { parseFlags } from './parse.ts';
import type { World } from './world.ts';

const flags = { help: { names: ['--help', '-h'], doc: 'this text' } };

const usage = `usage: runts doctor

Tries what containers need on this host, by doing it, and says for each thing that cannot be done why, and what to do.
Exits with 0 when containers can be made, and with 1 when they cannot.
`;

/** `runts doctor`: what this host can do. */
export async function doctor(argv: readonly string[], world: World): Promise<number> {
  if (parseFlags('doctor', argv, flags).given['help'] === true) {
    world.print(usage);
    return 0;
  }
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
