// Runs command lines that are sent to it, in this process, as the user that it runs as: what comes before and after a fault.
import { main } from '../../lib/cli/main.ts';
import { createWorld } from '../../lib/node/world.ts';

process.on('message', async (args: readonly string[]) => {
  let errors = '';
  let output = '';
  const world = createWorld();
  const collecting = Object.defineProperties(Object.create(world), {
    print: {
      value: (text: string) => {
        output += text;
      },
    },
    printError: {
      value: (text: string) => {
        errors += text;
      },
    },
  });
  const code = await main(args, collecting);
  process.exitCode = 0;
  process.send?.({ code, output, errors });
});
process.send?.('ready');
