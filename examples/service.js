// A container that stays until it is not needed any more: node examples/service.js
// prints: service: listening
// prints: ended by SIGTERM
import { createContainer } from 'runts';

const service = await createContainer({
  host: true,
  command: ['sh', '-c', 'echo listening; exec sleep 60'],
  // start() waits for this; when the container ends first, start() rejects with what it wrote.
  async ready(container, signal) {
    for await (const line of container.logs({ follow: true, signal })) if (line.text === 'listening') return;
  },
});
// In TypeScript, and in Node 24: `await using service = …` instead of try and finally.
try {
  await service.start({ timeout: 10_000 });
  for await (const { text } of service.logs()) console.log(`service: ${text}`);
  const { exitCode, signal } = await service.stop({ grace: 1000 });
  console.log(signal === undefined ? `exit code ${exitCode}` : `ended by ${signal}`);
} finally {
  await service.remove({ force: true });
}
