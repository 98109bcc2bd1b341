// As it is now: tests of a program may put another in its place, which nobody calls.
const { setImmediate: later } = globalThis;

/**
 * Lets everything else go first that the program has to do, so that nobody waits for what comes before and after it at once. It
 * costs some 10 µs where there is nothing. Whoever was called by what the event loop has found waits twice: only after the first does
 * it look for what has come since.
 */
export const turn = (): Promise<void> =>
  new Promise((resolve) => {
    later(resolve);
  });
