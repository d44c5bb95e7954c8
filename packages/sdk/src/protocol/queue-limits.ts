/** Those of the bounds in `limits.ts` that a client with queues checks itself: it is loaded without the others. */
export const QUEUE_LIMITS = {
  /** The longest lease, and the longest time that a job can be put off. */
  leaseMs: 24 * 3_600_000,
  delayMs: 400 * 24 * 3_600_000,
  jobAttempts: 1_000,
  jobErrorChars: 1_000,
  /** Handlers of one worker that run at a time. It holds twice as many jobs more, up to `workerJobs` in all. */
  workerHandlers: 500,
  /** Jobs that all workers of a queue hold; above it nothing is pushed. */
  leasesPerQueue: 50_000,
  /** The name of a group. */
  groupChars: 128,
} as const
