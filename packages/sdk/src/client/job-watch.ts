import { Alarm, elapsed, soon } from '../platform.ts'
import type { EndedParams, ReportedParams, WatchedJob, WatchResult } from '../protocol/frames/queue.ts'
import { JOB_LIMITS } from '../protocol/job-limits.ts'
import { MessError } from './errors.ts'
import type { QueueSide } from './queue-side.ts'
import type { Asking } from './session-events.ts'
import type { JobReport } from './worker.ts'

/** Who waits for one job to end. */
interface Waiter {
  ended(job: WatchedJob): void
  failed(error: unknown): void
}

interface Watched {
  readonly waiters: Set<Waiter>
  readonly readers: Set<Reader>
  /** Nobody waits for it any more; known once it was asked for. */
  left?: () => void
}

/** Reports that nobody has taken yet are dropped above it, oldest first. */
const REPORTS = 100
const BUSY_MS = 100

/** Jobs that somebody waits for: what becomes of them is asked for on each link, and told by their home. */
export class JobWatch {
  readonly #side: QueueSide
  readonly #watched = new Map<number, Watched>()
  #asking: number[] = []

  constructor(side: QueueSide) {
    this.#side = side
  }

  result(id: number | undefined, signal?: AbortSignal): Promise<unknown> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted()
      const watched = this.#watch(known(id))
      const aborted = (): void => {
        reject(signal?.reason)
        this.#leave(known(id), () => watched.waiters.delete(waiter))
      }
      const waiter: Waiter = {
        ended: (job) => {
          signal?.removeEventListener('abort', aborted)
          if (job.state === 'completed') resolve(job.result === undefined ? undefined : JSON.parse(job.result))
          else reject(errorOf(job))
        },
        failed: reject,
      }
      watched.waiters.add(waiter)
      signal?.addEventListener('abort', aborted, { once: true })
    })
  }

  async *progress(id: number | undefined): AsyncGenerator<JobReport, void> {
    const watched = this.#watch(known(id))
    const reader = new Reader()
    watched.readers.add(reader)
    try {
      for (;;) {
        const report = await reader.next()
        if (!report) return
        yield report
      }
    } finally {
      this.#leave(known(id), () => watched.readers.delete(reader))
    }
  }

  #watch(id: number): Watched {
    const known = this.#watched.get(id)
    if (known) return known
    const watched: Watched = { waiters: new Set(), readers: new Set() }
    this.#watched.set(id, watched)
    if (this.#asking.length === 0) soon(() => this.#flush())
    this.#asking.push(id)
    return watched
  }

  #leave(id: number, leave: () => void): void {
    leave()
    const watched = this.#watched.get(id)
    if (!watched || watched.waiters.size + watched.readers.size > 0) return
    this.#watched.delete(id)
    this.#side.answer('unwatch', { ids: [id] }).catch(() => {})
    watched.left?.()
  }

  /** What was asked for in one go is asked together, on each link until all of it is over. */
  #flush(): void {
    const ids = this.#asking.splice(0)
    for (let i = 0; i < ids.length; i += JOB_LIMITS.watchesPerFrame)
      this.#ask(ids.slice(i, i + JOB_LIMITS.watchesPerFrame))
  }

  #ask(batch: readonly number[]): void {
    const { queue } = this.#side
    const open = (): number[] => batch.filter((id) => this.#watched.has(id))
    const rest = (): void => {
      if (open().length === 0) this.#side.unask(by)
    }
    // A client that was closed says so.
    const again = (): void => {
      try {
        this.#side.ask(by)
      } catch (error) {
        this.#fail(open(), error)
      }
    }
    const by: Asking = {
      method: 'watch',
      get params() {
        return { queue, ids: open() }
      },
      answered: (result, error) => {
        if (error?.retryable) new Alarm(again).set(elapsed() + (error.retryAfterMs ?? BUSY_MS))
        else if (error) this.#fail(open(), new MessError(error.code, error.message, { retryable: false }))
        else for (const job of (result as WatchResult).jobs) this.#settle(job)
        rest()
      },
      told: (method, params) => {
        const { id } = params as { readonly id?: number }
        if (method === 'forgot') again()
        if (id === undefined || !batch.includes(id)) return
        if (method === 'ended') this.#settle(params as EndedParams)
        else if (method === 'reported') this.#report(params as ReportedParams)
        rest()
      },
    }
    for (const id of batch) {
      const watched = this.#watched.get(id)
      if (watched) watched.left = rest
    }
    again()
  }

  #fail(ids: readonly number[], error: unknown): void {
    for (const id of ids) {
      const watched = this.#watched.get(id)
      this.#watched.delete(id)
      for (const waiter of watched?.waiters ?? []) waiter.failed(error)
      for (const reader of watched?.readers ?? []) reader.end(error)
    }
  }

  #settle(job: WatchedJob): void {
    const watched = this.#watched.get(job.id)
    if (!watched) return
    if (job.state === 'waiting') {
      if (job.progress !== undefined || job.log) this.#report(job)
      return
    }
    this.#watched.delete(job.id)
    for (const waiter of watched.waiters) waiter.ended(job)
    for (const reader of watched.readers) reader.end()
  }

  #report({ id, progress, log = [] }: Pick<WatchedJob, 'id' | 'progress' | 'log'>): void {
    for (const reader of this.#watched.get(id)?.readers ?? [])
      reader.push({ progress: progress === undefined ? undefined : JSON.parse(progress), log })
  }
}

/** Reports on their way to one `for await`. */
class Reader {
  readonly #reports: JobReport[] = []
  #end: { readonly error: unknown } | undefined
  #wake: (() => void) | undefined

  push(report: JobReport): void {
    this.#reports.push(report)
    if (this.#reports.length > REPORTS) this.#reports.shift()
    this.#wake?.()
  }

  end(error?: unknown): void {
    this.#end = { error }
    this.#wake?.()
  }

  /** `undefined` when the job is over. */
  async next(): Promise<JobReport | undefined> {
    for (;;) {
      const report = this.#reports.shift()
      if (report) return report
      if (this.#end) {
        if (this.#end.error !== undefined) throw this.#end.error
        return undefined
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }
}

/** Of a repeat that is so old that the first one's id was forgotten, nothing can be asked. */
function known(id: number | undefined): number {
  if (id === undefined) throw new MessError('job_unknown', 'The id of this job is not known any more')
  return id
}

function errorOf({ id, state, error }: WatchedJob): MessError {
  if (state === 'cancelled')
    return new MessError('job_cancelled', `Job ${id} was cancelled${error ? `: ${error}` : ''}`)
  if (state === 'dead' && error === 'expired')
    return new MessError('job_expired', `Job ${id} was not begun in its time`)
  if (state === 'dead') return new MessError('job_dead', `Job ${id} is dead: ${error}`)
  return new MessError('job_unknown', `Nothing is known of job ${id}: give it a \`retain\` to ask for it later`)
}
