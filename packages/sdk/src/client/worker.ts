import { Alarm, elapsed, randomName } from '../platform.ts'
import type { JobsParams, Lease } from '../protocol/frames/queue.ts'
import { MessError } from './errors.ts'
import type { QueueChannel, Taker } from './queue-channel.ts'

/** A job in the hands of a handler. What the handler says of it counts when it is done; without a word it is acked. */
export interface Job<T> {
  readonly id: number
  readonly data: T
  /** Which delivery this is, from 1. More than 1 says that it may have been done, in part or wholly, before. */
  readonly attempt: number
  readonly enqueuedAt: Date
  /** Aborted when the lease is lost or the job is cancelled: whatever is done after that, somebody else may do, too. */
  readonly signal: AbortSignal
  /** So many ms more from now on; default as long again. */
  extend(ms?: number): void
  /** Another attempt: after the backoff, or after `delayMs`. The same as to throw, without an error. */
  retry(options?: { readonly delayMs?: number; readonly reason?: string }): void
  /** No other attempt would help: it is dead at once. */
  bury(reason: string): void
  /** Back as if it had not been taken, at once or after `delayMs`; uses up no attempt. */
  release(options?: { readonly delayMs?: number }): void
}

export interface WorkOptions {
  /** Handlers that run at a time, 1 to 500. As many jobs more are held ready. Default 1. */
  readonly concurrency?: number
  /** A handler that takes longer, and does not extend, loses the job. Default 60,000. */
  readonly leaseMs?: number
  /** Ends the worker, like `stop()`. */
  readonly signal?: AbortSignal
  /** A handler threw; the job is tried again as its options say. Default: an `error` event. */
  readonly onError?: (error: MessError, job: { readonly id: number; readonly attempt: number }) => void
}

export interface Worker extends AsyncDisposable {
  readonly running: number
  /**
   * Takes no other job, gives back what it has not begun, and resolves when the handlers that run are done. With `waitMs` those that are
   * not done by then are told by their signals, and their jobs are given back. Idempotent.
   */
  stop(options?: { readonly waitMs?: number }): Promise<void>
}

const CONCURRENCY = 500
const LEASE_MS = 60_000
const ERROR_CHARS = 1_000

type Outcome = { readonly kind: 'ack' | 'release' | 'snooze' | 'retry'; readonly entry: object }

interface Task {
  readonly lease: Lease
  readonly raw: unknown
  readonly attempt: number
  readonly enqueuedAt: number
  readonly abort: AbortController
  outcome: Outcome | undefined
  /** Another one may have it by now. */
  lost: boolean
}

export class Working<T> implements Worker, Taker {
  readonly #name = randomName()
  readonly #channel: QueueChannel
  readonly #handler: (job: Job<T>) => unknown
  readonly #read: (raw: unknown) => T
  readonly #report: (error: MessError, job: { id: number; attempt: number }) => void
  readonly #concurrency: number
  readonly #leaseMs: number
  readonly #ready: Task[] = []
  readonly #held = new Map<string, Task>()
  #running = 0
  #stopping: Promise<void> | undefined
  #idle: (() => void) | undefined

  constructor(
    channel: QueueChannel,
    handler: (job: Job<T>) => unknown,
    { concurrency = 1, leaseMs = LEASE_MS, signal, onError }: WorkOptions,
    parts: { read: (raw: unknown) => T; report: (error: MessError) => void },
  ) {
    if (!(Number.isSafeInteger(concurrency) && concurrency >= 1 && concurrency <= CONCURRENCY))
      throw new MessError('bad_option', `concurrency: a whole number from 1 to ${CONCURRENCY}`)
    if (!(Number.isSafeInteger(leaseMs) && leaseMs >= 1 && leaseMs <= 86_400_000))
      throw new MessError('bad_option', 'leaseMs: a whole number of ms, a day at most')
    this.#channel = channel
    this.#handler = handler
    this.#read = parts.read
    this.#report = onError ?? parts.report
    this.#concurrency = concurrency
    this.#leaseMs = leaseMs
    if (signal?.aborted) void this.stop()
    else {
      signal?.addEventListener('abort', () => void this.stop(), { once: true })
      channel.add(this.#name, this)
    }
  }

  get running(): number {
    return this.#running
  }

  wish(): object {
    const holding = [...this.#held.values()].flatMap(({ lease, lost }) => (lost ? [] : [lease]))
    const capacity = this.#stopping ? 0 : 2 * this.#concurrency
    return { worker: this.#name, capacity, leaseMs: this.#leaseMs, holding }
  }

  took({ token, jobs, messages }: JobsParams): void {
    jobs.forEach(([id, attempt, enqueuedAt], i) => {
      const lease: Lease = [id, token]
      if (this.#stopping) {
        this.#channel.settle('release', lease)
        return
      }
      const task: Task = {
        lease,
        raw: messages[i],
        attempt,
        enqueuedAt,
        abort: new AbortController(),
        outcome: undefined,
        lost: false,
      }
      this.#held.set(keyOf(lease), task)
      this.#ready.push(task)
    })
    this.#next()
  }

  lost(leases: readonly Lease[]): void {
    for (const lease of leases) {
      const task = this.#held.get(keyOf(lease))
      if (!task) continue
      task.lost = true
      task.abort.abort(new MessError('lease_lost', `Job ${lease[0]} is not this worker's any more`))
      const index = this.#ready.indexOf(task)
      if (index === -1) continue
      this.#ready.splice(index, 1)
      this.#held.delete(keyOf(lease))
    }
  }

  stop({ waitMs }: { readonly waitMs?: number } = {}): Promise<void> {
    this.#stopping ??= this.#stop(waitMs)
    return this.#stopping
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async #stop(waitMs: number | undefined): Promise<void> {
    // The wish is read when `stopping` is set, which it is not yet.
    await Promise.resolve()
    this.#channel.wish(this.#name)
    for (const task of this.#ready.splice(0)) {
      this.#held.delete(keyOf(task.lease))
      if (!task.lost) this.#channel.settle('release', task.lease)
    }
    if (this.#running > 0) {
      const alarm = new Alarm(() => this.#giveBack())
      if (waitMs !== undefined) alarm.set(elapsed() + waitMs)
      await new Promise<void>((resolve) => {
        this.#idle = resolve
      })
      alarm.clear()
    }
    await this.#channel.settled()
    this.#channel.remove(this.#name)
  }

  #giveBack(): void {
    for (const [key, task] of this.#held) {
      this.#held.delete(key)
      if (task.lost) continue
      task.lost = true
      task.abort.abort(new MessError('stopped', 'The worker was stopped'))
      this.#channel.settle('release', task.lease)
    }
    this.#idle?.()
  }

  #next(): void {
    while (this.#running < this.#concurrency) {
      const task = this.#ready.shift()
      if (!task) return
      this.#running++
      void this.#run(task)
    }
  }

  async #run(task: Task): Promise<void> {
    try {
      await this.#handler(this.#jobOf(task))
      this.#settle(task, task.outcome ?? { kind: 'ack', entry: task.lease })
    } catch (cause) {
      const { lease, attempt } = task
      const message = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause)
      const error = message.slice(0, ERROR_CHARS)
      this.#settle(task, task.outcome ?? { kind: 'retry', entry: { lease, error } })
      if (!task.lost)
        this.#report(new MessError('handler_failed', `The handler of job ${lease[0]} threw`, { cause }), {
          id: lease[0],
          attempt,
        })
    }
    this.#running--
    this.#next()
    if (this.#running === 0) this.#idle?.()
  }

  /** Also of a lease that is lost: while nobody else was given the job, an ack still counts. */
  #settle(task: Task, { kind, entry }: Outcome): void {
    const mine = this.#held.delete(keyOf(task.lease))
    if (mine && (!task.lost || kind === 'ack')) this.#channel.settle(kind, entry as never)
  }

  #jobOf(task: Task): Job<T> {
    const { lease, raw, attempt, enqueuedAt, abort } = task
    const say = (outcome: Outcome): void => {
      task.outcome = outcome
    }
    return {
      id: lease[0],
      data: this.#read(raw),
      attempt,
      enqueuedAt: new Date(enqueuedAt),
      signal: abort.signal,
      extend: (ms) => {
        if (!task.lost) this.#channel.settle('extend', { lease, ...(ms !== undefined && { ms }) })
      },
      retry: ({ delayMs, reason = 'retried' } = {}) => {
        const entry = { lease, error: reason.slice(0, ERROR_CHARS), ...(delayMs !== undefined && { delayMs }) }
        say({ kind: 'retry', entry })
      },
      bury: (reason) => say({ kind: 'retry', entry: { lease, error: reason.slice(0, ERROR_CHARS), dead: true } }),
      release: ({ delayMs } = {}) =>
        say(
          delayMs === undefined ? { kind: 'release', entry: lease } : { kind: 'snooze', entry: { lease, ms: delayMs } },
        ),
    }
  }
}

const keyOf = ([id, token]: Lease): string => `${id} ${token}`
