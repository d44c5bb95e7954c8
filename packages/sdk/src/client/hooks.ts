import type { EnqueuedJob } from './queue.ts'
import type { QueueSide } from './queue-side.ts'
import type { Job } from './worker.ts'

/** What else is done with jobs, loaded with the first one that it is for. It imports nothing, or bundlers would cut the entry into pieces for it. */

/**
 * Whatever throws here, but `failed` itself, has failed the attempt as the handler would have. They do not see a job whose data does not fit
 * the schema, nor one whose worker died.
 */
export interface WorkHooks {
  /** Before the handler. `false` leaves out the handler and the other hooks: what the job was told counts, or it is done. */
  readonly before?: (job: Job<unknown>) => unknown
  /**
   * In place of the handler, which `handle` runs, and returns what it returned. It may be left out; then the job is done. What runs still
   * when this returns is waited for. The job's result is the handler's.
   */
  readonly around?: (job: Job<unknown>, handle: () => Promise<unknown>) => unknown
  /** Once all that has succeeded, with what the handler returned. */
  readonly after?: (job: Job<unknown>, result: unknown) => unknown
  /** Once something threw, before that is said: `job.bury()` and `job.retry()` still count. What it throws is an `error` event. */
  readonly failed?: (job: Job<unknown>, error: unknown) => unknown
}

export interface EnqueueHooks<I> {
  /**
   * Before anything is stored, with each payload: refuses it, and with it all of its call, by throwing or by returning anything but `true`
   * or nothing. It must answer at once, so a promise refuses, too.
   */
  readonly beforeEnqueue?: (data: I) => boolean | undefined
  /** Once a job is durable at its home. What it throws is an `error` event. */
  readonly afterEnqueue?: (job: EnqueuedJob, data: I) => unknown
}

/** @returns what the handler returned */
export async function handle<T>(
  job: Job<T>,
  handler: (job: Job<T>) => unknown,
  { before, around = (_, run) => run(), after, failed }: WorkHooks,
  { failed: report }: Pick<QueueSide, 'failed'>,
): Promise<unknown> {
  try {
    if ((await before?.(job)) === false) return undefined
    let result: unknown
    let running: Promise<unknown> | undefined
    const run = async (): Promise<unknown> => {
      result = await handler(job)
      return result
    }
    await around(job, () => {
      running = run().finally(() => {
        running = undefined
      })
      return running
    })
    // Not awaited there: the job must not be over before it is. What had failed by now, `around` has seen.
    await running
    await after?.(job, result)
    return result
  } catch (error) {
    try {
      await failed?.(job, error)
    } catch (cause) {
      report(`The hook \`failed\` of job ${job.id} threw`, cause)
    }
    throw error
  }
}

export async function enqueued<I>(
  enqueuing: Promise<readonly EnqueuedJob[]>,
  data: readonly I[],
  hook: NonNullable<EnqueueHooks<I>['afterEnqueue']>,
  side: Pick<QueueSide, 'failed'>,
): Promise<void> {
  // Whoever enqueued hears of it.
  const jobs = await enqueuing.catch(() => [])
  for (const [i, job] of jobs.entries()) {
    try {
      await hook(job, data[i] as I)
    } catch (cause) {
      side.failed(`The hook \`afterEnqueue\` of job ${job.id} threw`, cause)
    }
  }
}
