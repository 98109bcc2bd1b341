// A command in a container of its own, to its end: node examples/run.js
// prints: hello from uid=0(root)
// prints: failed with exit code 3
import { ExitError, run } from 'runts';

const { stdout } = await run({ host: true, command: ['sh', '-c', 'echo "hello from $(id)"'] });
console.log(stdout.trimEnd());

try {
  await run({ host: true, command: ['sh', '-c', 'echo "no disk" >&2; exit 3'] });
} catch (error) {
  if (!(error instanceof ExitError)) throw error;
  console.log(error.message);
}
