/** How many times longer than usual things may take: under a sanitizer all is slow (npm run test:asan says how slow). */
export const patience = Number(process.env['RUNTS_PATIENCE'] ?? 1);
