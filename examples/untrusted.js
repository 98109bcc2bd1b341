// Code that nobody has read, with bounds on everything: node examples/untrusted.js
// prints: it says: 42
// prints: stopped: true, 10 bytes of its output kept
import { run } from 'runts';

/** @param {string} script */
function evaluate(script) {
  return run({
    host: true,
    command: ['sh'],
    input: script,
    user: 'nobody',
    readonly: true,
    mounts: [{ type: 'tmpfs', target: '/tmp', size: '16m' }],
    capabilities: { drop: ['ALL'] },
    timeout: 5000,
    maxOutput: 10,
    // An end in failure is a result here, not an exception.
    reject: false,
  });
}

const good = await evaluate('echo $((6 * 7))');
console.log(`it says: ${good.stdout.trimEnd()}`);

const endless = await evaluate('while :; do echo and on; done');
console.log(`stopped: ${endless.timedOut}, ${endless.stdout.length} bytes of its output kept`);
