// CVE-2017-5226: input pushed into the terminal of whoever ran the container.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { attackIf, outcomeOf, payload } from '../support/attack.ts';

const inner = attackIf();
const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** Runs a program with a terminal, and gives what it wrote there. */
function withTerminal(...command: string[]) {
  const { stdout } = spawnSync(payload(), ['with-terminal', ...command], { encoding: 'utf8', timeout: 90_000 });
  return outcomeOf(stdout);
}

inner(
  "the command can neither type into its caller's terminal nor make it its own",
  () => {
    const loader = at('../support/typescript.mjs');
    const { won, control } = withTerminal(
      process.execPath,
      '--no-warnings',
      '--import',
      loader,
      at('fixtures/inherit-terminal.ts'),
      payload(),
    );
    expect(control).toEqual(['tty 0', 'tty 1', 'tty 2']);
    expect(won).toEqual([]);
  },
  100_000,
);

inner('outside of a container both can be done', () => {
  expect(withTerminal(payload(), 'terminal').won).toContain('open /dev/tty');
});
