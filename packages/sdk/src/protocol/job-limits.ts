/** Those of the bounds in `limits.ts` that a client loads only where somebody returns a result, reports or waits for a job. */
export const JOB_LIMITS = {
  /** What a handler returns, and what it keeps with its job for the next attempt, as JSON text. */
  resultChars: 64 * 1024,
  stateChars: 64 * 1024,
  /** What handlers report while they work, which nothing is written for: one value of progress, one line, and the lines that are kept. */
  progressChars: 4 * 1024,
  logLineChars: 500,
  logLines: 50,
  reportsPerFrame: 100,
  /** Jobs that one frame asks for. */
  watchesPerFrame: 50,
} as const
