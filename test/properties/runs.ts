const asked = process.env['RUNTS_FUZZ_RUNS'];

/** The same tries each time, and few; RUNTS_FUZZ_RUNS asks for many others, and a failure prints the seed of its own. */
export const runs = (few: number) => runsAt(1, few);

/** The same for a property of which one try costs as many of others. */
export const runsAt = (cost: number, few: number) =>
  asked === undefined ? { seed: 20261121, numRuns: few } : { numRuns: Math.max(few, Math.floor(Number(asked) / cost)) };
