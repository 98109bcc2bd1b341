/** How often a property is tried: RUNTS_FUZZ_RUNS raises it. A failure prints the seed that finds it again. */
export const runs = (few: number) => ({ numRuns: Number(process.env['RUNTS_FUZZ_RUNS'] ?? few) });
