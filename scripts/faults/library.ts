// A container by the library, as a program of a user's has it. What fails is told in a line, and by the exit code.
const [rootfs = '', root = '', state = ''] = process.argv.slice(2);
try {
  const { createRuntime } = await import('../../lib/index.ts');
  const runtime = createRuntime({ root, state });
  try {
    const { stdout } = await runtime.run({ rootfs, command: ['echo', 'said'] });
    if (stdout.trim() !== 'said') throw new Error(`it said ${JSON.stringify(stdout)}`);
  } finally {
    await runtime[Symbol.asyncDispose]();
  }
} catch (error) {
  const { message, hint = '' } = error as { readonly message: string; readonly hint?: string };
  console.error(`${message} ${hint}`);
  process.exitCode = 1;
}
