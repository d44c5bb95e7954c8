import {
  Alarm,
  type Attention,
  complain,
  elapsed,
  onAttention,
  pause,
  randomName,
  soon,
  whereabouts,
} from '../platform.ts'
import { CLIENT_LIMITS } from '../protocol/client-limits.ts'
import type { JobsParams, Lease, LostParams, SettleParams, WorkResult } from '../protocol/frames/queue.ts'
import { QUEUE_LIMITS } from '../protocol/queue-limits.ts'
import { MessError, type Trouble } from './errors.ts'
import type { WorkHooks } from './hooks.ts'
import type { JobExtras } from './job-extras.ts'
import type { QueueSide } from './queue-side.ts'
import type { Asking } from './session-events.ts'

/** What a handler says while it works. */
export interface JobReport {
  /** The newest value; `undefined` if there was none since the last report. */
  readonly progress: unknown
  readonly log: readonly string[]
}

/**
 * A job in the hands of a handler. What the handler says of it counts when it is done; without a word it is acked, and what it returns
 * is the job's result. A result that JSON cannot carry, or larger than 64 KiB, sets a job aside that is to be retained; of others it is
 * left out.
 */
export interface Job<T> {
  readonly id: number
  readonly data: T
  /** Which delivery this is, from 1. More than 1 says that it may have been done, in part or wholly, before. */
  readonly attempt: number
  /** When the queue's home took it in, which for a job that was enqueued offline is later. */
  readonly enqueuedAt: Date
  /** Of a job that a schedule has added: which schedule, and the time for which it was to be added, however late that was. */
  readonly tick: { readonly schedule: string; readonly at: Date } | undefined
  /** What an attempt before has kept with {@link checkpoint}; `undefined` if none has. */
  readonly state: unknown
  /** Aborted when the lease is lost or the job is cancelled: whatever is done after that, somebody else may do, too. */
  readonly signal: AbortSignal
  /** So many ms more from now on; default as long again. Here and below: whole numbers. @throws {MessError} `bad_option` */
  extend(ms?: number): void
  /** Another attempt: after the backoff, or after `delayMs`. The same as to throw, without an error. */
  retry(options?: { readonly delayMs?: number; readonly reason?: string }): void
  /** No other attempt would help: it is dead at once. */
  bury(reason: string): void
  /** Back as if it had not been taken, at once or after `delayMs`; uses up no attempt. */
  release(options?: { readonly delayMs?: number }): void
  /** Tells who watches how far it is: a JSON value of at most 4 KiB, or else the attempt fails. Written nowhere; the newest of every 100 ms is sent. */
  progress(value: unknown): void
  /** Tells who watches a line of at most 500 characters. The last 50 are kept with a job that fails, dies or is retained. */
  log(line: string): void
  /** Keeps a JSON value of at most 64 KiB with the job, for the next attempt. Resolves when that is durable; costs one row. */
  checkpoint(state: unknown): Promise<void>
}

export interface WorkOptions {
  /** Handlers that run at a time, 1 to 500. Up to twice as many jobs more are held ready, 1,000 in all, as long as no job waits so for a quarter of `leaseMs`. Default 1. */
  readonly concurrency?: number
  /** A handler that takes longer, and does not extend, loses the job. Default 60,000. */
  readonly leaseMs?: number
  /** What else is done with each job. */
  readonly hooks?: WorkHooks
  /** Ends the worker, like `stop()`. */
  readonly signal?: AbortSignal
  /** A handler threw; the job is tried again as its options say. Default: an `error` event. */
  readonly onError?: (error: MessError, job: { readonly id: number; readonly attempt: number }) => void
}

/**
 * A running worker. Without a network its handlers go on, and what they have done is said on the next link; a home that has not heard of
 * it for 10 s gives its jobs to others, which it is told then. In a page that is hidden for a minute it holds no job ready that it has
 * not begun, in one that is frozen it takes none, and one that is put away gives back all it has; it goes on when the page is back.
 */
export interface Worker extends AsyncDisposable {
  readonly running: number
  /** Resolves once it has ended, however that came about. */
  readonly done: Promise<void>
  /** Takes no other job until `resume()`, gives back what it has not begun, and goes on with what it has. After `stop()` neither does anything. */
  quiet(): void
  resume(): void
  /**
   * Takes no other job, gives back what it has not begun, and resolves when the handlers that run are done and the home has heard so. With
   * `waitMs` those that are not done by then are told by their signals, and their jobs are given back. Idempotent. `mess.close()` is
   * `stop({ waitMs })` with its own `waitMs`, which is 0 unless it is given.
   */
  stop(options?: { readonly waitMs?: number }): Promise<void>
}

/** Where several workers share handlers: who decides whose turn it is. */
export interface Turns {
  /** @returns whether one more handler may run; then it does */
  begin(): boolean
  ended(): void
  /** Jobs have come. */
  changed(): void
  /** How many jobs a worker may hold at most; `undefined` for as many as by itself. */
  capacity(worker: object): number | undefined
}

const LEASE_MS = 60_000
/** Jobs that are held, at most, for each handler that may run. */
const AHEAD = 3
/** While a frame is on its way, what is said may wait so long for more, in ms: each frame costs its home a write to the disk. */
const SAY_MS = 2
/** What the home was too busy for is said again after so long, in ms. */
const BUSY_MS = 100
const HIDDEN_MS = 60_000
/** How much of its lease a job may be held ready; and after how much of it the lease is made longer when its handler begins. */
const READY_SHARE = 1 / 4
const RENEW_SHARE = 1 / 10
/** So many of `jobErrorChars`, each written as six, fit in a frame. */
const ERRORS_PER_FRAME = 100
/** Results in one frame; twice as long as text within text, and three bytes each, they still fit. */
const BATCH_CHARS = 100_000

/** What can be said of a lease. */
type Settling = Exclude<keyof SettleParams, 'queue'>
export interface Outcome {
  readonly kind: Settling
  readonly entry: object
}

interface Task {
  readonly lease: Lease
  readonly raw: unknown
  readonly attempt: number
  readonly enqueuedAt: number
  readonly tick: { readonly schedule: string; readonly at: Date } | undefined
  readonly more: { readonly state?: string | undefined; readonly retain?: boolean | undefined } | undefined
  /** Made for who asks for the signal. */
  abort?: AbortController
  outcome?: Outcome
  /** What its handler reports is on its way; fails for what cannot be reported. */
  said?: Promise<unknown>
  /** Another one may have it by now. */
  lost?: boolean
  /** Since when it is held ready, or its handler runs. */
  since: number
}

export class Working<T> implements Worker {
  readonly #name = randomName()
  readonly #side: QueueSide
  readonly #handler: (job: Job<T>) => unknown
  readonly #read: (raw: unknown) => T
  readonly #report: NonNullable<WorkOptions['onError']>
  readonly #turns: Turns | undefined
  readonly #concurrency: number
  readonly #leaseMs: number
  readonly #ready: Task[] = []
  readonly #held = new Map<string, Task>()
  readonly #done = Promise.withResolvers<void>()
  readonly done = this.#done.promise
  /** Says on each link what it wants to hold, and what it still does. */
  readonly #wish: Asking
  readonly #unlisten: () => void
  /** Rings when what is held ready has used up its share of the lease: then none is, until a handler proves to be quick. */
  readonly #patience = new Alarm(() => this.#lookAtReady(), false)
  #slow = false
  #attention: Attention = 'full'
  #quiet = false
  #running = 0
  #stopping = false
  #ended = false
  /** What was settled in one go. */
  #settles: Partial<Record<Settling, object[]>> = {}
  #chars = 0
  #flushing = false
  /** Leases that end with it, and those of the frames that are not answered: on the next link their home must not take them for forgotten. */
  #ending: Lease[] = []
  readonly #unanswered = new Set<readonly Lease[]>()

  constructor(
    side: QueueSide,
    { handler, read, turns }: { handler: (job: Job<T>) => unknown; read: (raw: unknown) => T; turns?: Turns },
    { concurrency = 1, leaseMs = LEASE_MS, hooks, signal, onError }: WorkOptions,
  ) {
    checkWhole('concurrency', concurrency, QUEUE_LIMITS.workerHandlers, 1)
    checkWhole('leaseMs', leaseMs, QUEUE_LIMITS.leaseMs, 1)
    this.#side = side
    // Who has none loads nothing for them, and waits for nothing.
    this.#handler = hooks ? async (job) => (await import('./hooks.ts')).handle(job, handler, hooks, side) : handler
    this.#read = read
    this.#turns = turns
    this.#report = onError ?? side.report
    this.#concurrency = concurrency
    this.#leaseMs = leaseMs
    const wanted = (): object => this.#wanted()
    this.#wish = {
      method: 'work',
      get params() {
        return wanted()
      },
      answered: (result, error) => this.#wished(result as WorkResult, error),
      told: (method, params) => {
        if (method === 'lost') this.#lost((params as LostParams).leases, (params as LostParams).message)
        else if (method === 'jobs' && (params as JobsParams).worker === this.#name) this.#took(params as JobsParams)
      },
    }
    this.#unlisten = onAttention(HIDDEN_MS, (attention) => this.#attend(attention))
    const stop = (): void => void this.stop()
    side.track({ stop: (waitMs) => this.stop({ waitMs }), done: this.done })
    signal?.addEventListener('abort', stop)
    this.done.then(() => signal?.removeEventListener('abort', stop))
    if (signal?.aborted) stop()
    else side.ask(this.#wish)
  }

  get running(): number {
    return this.#running
  }

  /** Jobs that are held and not begun. */
  get waiting(): number {
    return this.#ready.length
  }

  quiet(): void {
    this.#hush(true)
  }

  resume(): void {
    this.#hush(false)
  }

  #hush(quiet: boolean): void {
    if (this.#stopping || quiet === this.#quiet) return
    this.#quiet = quiet
    this.turned(quiet)
  }

  /** What it may hold has changed; if it may hold less, others get what is not begun. */
  turned(less: boolean): void {
    // First of all, or what is given back would come again.
    this.#side.ask(this.#wish)
    if (less) this.#giveBack(this.#ready)
  }

  stop({ waitMs }: { readonly waitMs?: number } = {}): Promise<void> {
    if (!this.#stopping) {
      this.#stopping = true
      this.#unlisten()
      this.#side.ask(this.#wish)
      this.#giveBack(this.#ready)
    }
    // Also where it is stopping already, and has been given longer.
    if (waitMs === 0) this.#end()
    else if (waitMs !== undefined) {
      const alarm = new Alarm(() => this.#end())
      alarm.set(elapsed() + waitMs)
      void this.done.then(() => alarm.clear())
    }
    this.#rest()
    return this.done
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  /** All that was said and what it waited for is over. */
  #rest(): void {
    if (this.#stopping && this.#running === 0 && !this.#flushing && this.#unanswered.size === 0) this.#end()
  }

  /** Whatever still runs is somebody else's. */
  #end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#giveBack([...this.#held.values()])
    this.#flush()
    this.#side.unask(this.#wish)
    this.#done.resolve()
  }

  // ---- what it holds

  #wanted(): object {
    const held = [...this.#held.values()].flatMap(({ lease, lost }) => (lost ? [] : [lease]))
    const holding = [...held, ...this.#ending, ...[...this.#unanswered].flat()].slice(0, CLIENT_LIMITS.messagesPerFrame)
    return {
      queue: this.#side.queue,
      worker: this.#name,
      capacity: this.#capacity,
      leaseMs: this.#leaseMs,
      holding,
      about: whereabouts(),
      // One that is stopping ends with 0.
      quiet: !(this.#stopping || this.#capacity),
    }
  }

  get #capacity(): number {
    if (this.#stopping || this.#quiet || this.#attention === 'frozen' || this.#attention === 'gone') return 0
    // So that a handler that ends finds its next job here.
    const most = this.#concurrency * (this.#attention === 'full' && !this.#slow ? AHEAD : 1)
    return Math.min(most, this.#turns?.capacity(this) ?? most, CLIENT_LIMITS.messagesPerFrame)
  }

  #wished(result: WorkResult | undefined, error: Trouble | undefined): void {
    if (result) this.#lost(result.lost)
    else if (this.#ended) return
    else if (error?.retryable) this.#later(this.#wish, error)
    else if (error && error.code !== 'closed')
      this.#side.report(new MessError(error.code, `${this.#side.queue}: ${error.message}`, { retryable: false }))
  }

  #attend(attention: Attention): void {
    if (attention === this.#attention) return
    this.#attention = attention
    this.#side.ask(this.#wish)
    if (attention === 'full') return
    this.#giveBack(attention === 'gone' ? [...this.#held.values()] : this.#ready)
    // There may be no later.
    this.#flush()
  }

  #took({ token, jobs, ticks = [], messages }: JobsParams): void {
    let passed = 0
    jobs.forEach(([id, attempt, enqueuedAt, more], i) => {
      const lease: Lease = [id, token]
      const by = ticks[passed]?.[0] === i ? ticks[passed++] : undefined
      const tick = by && { schedule: by[1], at: new Date(by[2]) }
      const task: Task = { lease, raw: messages[i], attempt, enqueuedAt, tick, more, since: elapsed() }
      this.#held.set(keyOf(lease), task)
      this.#ready.push(task)
    })
    // They were on their way when it was said that none are wanted.
    if (this.#capacity === 0) this.#giveBack(this.#ready)
    if (this.#turns) this.#turns.changed()
    else this.next()
    this.#lookAtReady()
  }

  /** What cannot be begun soon is for others: its lease would end before it is done, or has begun. */
  #lookAtReady(): void {
    const [oldest] = this.#ready
    if (!oldest) return
    const at = oldest.since + this.#leaseMs * READY_SHARE
    if (elapsed() < at) this.#patience.set(at)
    else {
      this.#slow = true
      this.#side.ask(this.#wish)
      this.#giveBack(this.#ready)
    }
  }

  #lost(leases: readonly Lease[], message?: string): void {
    for (const lease of leases) {
      const task = this.#held.get(keyOf(lease))
      if (!task) continue
      this.#lose(task, new MessError('lease_lost', message ?? `Job ${lease[0]} is no longer held`))
    }
  }

  /** Its handler is told; without one nothing is left of it. */
  #lose(task: Task, reason: MessError): void {
    task.lost = true
    abortOf(task).abort(reason)
    const index = this.#ready.indexOf(task)
    if (index === -1) return
    this.#ready.splice(index, 1)
    this.#held.delete(keyOf(task.lease))
  }

  #giveBack(tasks: readonly Task[]): void {
    for (const task of [...tasks]) {
      const mine = !task.lost
      this.#lose(task, new MessError('stopped', 'Worker stopped'))
      this.#held.delete(keyOf(task.lease))
      if (mine) this.#say('release', task.lease, task.lease)
    }
  }

  // ---- handlers

  next(): void {
    while (this.#running < this.#concurrency && this.#ready.length > 0) {
      if (this.#turns && !this.#turns.begin()) return
      const task = this.#ready.shift() as Task
      this.#running++
      void this.#run(task)
    }
  }

  async #run(task: Task): Promise<void> {
    const { lease, since, attempt } = task
    task.since = elapsed()
    // The handler has all of it.
    if (task.since - since > this.#leaseMs * RENEW_SHARE) this.#say('extend', { lease })
    try {
      const value = await this.#handler(this.#jobOf(task))
      if (task.said) await this.#said(task)
      const { more, outcome } = task
      if (outcome || value === undefined) this.#settle(task, outcome ?? { kind: 'ack', entry: lease })
      else this.#settle(task, (await this.#side.extras()).outcomeOf(lease, value, more?.retain))
    } catch (cause) {
      if (task.said) await this.#said(task).catch(() => {})
      let error = ''
      // Whatever was thrown, and whatever is thrown by who is told of it: another handler must have its turn.
      try {
        error = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause)
      } catch {}
      this.#settle(task, task.outcome ?? { kind: 'retry', entry: { lease, error: short(error) } })
      const [id] = lease
      try {
        if (!task.lost)
          this.#report(new MessError('handler_failed', `The handler of job ${id} threw`, { cause }), { id, attempt })
      } catch (wrong) {
        complain(wrong)
      }
    }
    this.#running--
    // The last of those that are held ready waits for two of them.
    if (this.#slow && elapsed() - task.since < (this.#leaseMs * READY_SHARE) / 2) {
      this.#slow = false
      if (!this.#stopping) this.#side.ask(this.#wish)
    }
    if (this.#turns) this.#turns.ended()
    else this.next()
    this.#rest()
  }

  /** What was reported goes before what becomes of the job. */
  async #said({ said }: Task): Promise<void> {
    await said
    ;(await this.#side.extras()).flush()
  }

  /** Also of a lease that is lost: while nobody else was given the job, an ack still counts. */
  #settle(task: Task, { kind, entry }: Outcome): void {
    const mine = this.#held.delete(keyOf(task.lease))
    if (mine && (!task.lost || kind === 'ack' || kind === 'done')) this.#say(kind, entry, task.lease)
  }

  #jobOf(task: Task): Job<T> {
    const { lease, raw, attempt, enqueuedAt, tick, more } = task
    const say = (outcome: Outcome): void => {
      task.outcome = outcome
    }
    const extra = (use: (extras: JobExtras) => void): void => {
      const said = this.#side.extras().then(use)
      // Whoever awaits it when the handler is done hears of a failure.
      said.catch(() => {})
      task.said = task.said ? Promise.all([task.said, said]) : said
    }
    return {
      id: lease[0],
      data: this.#read(raw),
      attempt,
      enqueuedAt: new Date(enqueuedAt),
      tick,
      state: more?.state === undefined ? undefined : JSON.parse(more.state),
      get signal() {
        return abortOf(task).signal
      },
      extend: (ms) => {
        checkWhole('extend', ms, QUEUE_LIMITS.leaseMs)
        if (!task.lost) this.#say('extend', { lease, ms })
      },
      retry: ({ delayMs, reason = 'retried' } = {}) => {
        checkWhole('delayMs', delayMs, QUEUE_LIMITS.delayMs)
        say({ kind: 'retry', entry: { lease, error: short(reason), delayMs } })
      },
      bury: (reason) => say({ kind: 'retry', entry: { lease, error: short(reason), dead: true } }),
      release: ({ delayMs } = {}) => {
        checkWhole('delayMs', delayMs, QUEUE_LIMITS.delayMs)
        say(
          delayMs === undefined ? { kind: 'release', entry: lease } : { kind: 'snooze', entry: { lease, ms: delayMs } },
        )
      },
      progress: (value) => extra((extras) => extras.progress(lease, value)),
      log: (line) => extra((extras) => extras.log(lease, line)),
      checkpoint: async (state) => (await this.#side.extras()).checkpoint(lease, state),
    }
  }

  // ---- saying what became of them

  /** All that is said in one go leaves in one frame. */
  #say(kind: Settling, entry: object, ends?: Lease): void {
    if (ends) this.#ending.push(ends)
    const entries = this.#settles[kind] ?? []
    this.#settles[kind] = entries
    entries.push(entry)
    // Few of a frame's results are large.
    this.#chars += (entry as { result?: string }).result?.length ?? 0
    // Half of what it may hold at a time: so its home works on the one half while the handlers do on the other.
    const most = kind === 'retry' ? ERRORS_PER_FRAME : (this.#concurrency * AHEAD) / 2
    if (entries.length >= most || this.#chars > BATCH_CHARS) this.#flush()
    else if (!this.#flushing) {
      this.#flushing = true
      soon(async () => {
        if (this.#unanswered.size > 0) await pause(SAY_MS)
        this.#flushing = false
        this.#flush()
        this.#rest()
      })
    }
  }

  /** Asked on each link until it is answered: leases are recognised by their tokens, so nothing is done twice. */
  #flush(): void {
    if (Object.keys(this.#settles).length === 0) return
    const params = { queue: this.#side.queue, ...this.#settles }
    const ending = this.#ending
    this.#settles = {}
    this.#chars = 0
    this.#ending = []
    this.#unanswered.add(ending)
    const settle: Asking = {
      method: 'settle',
      params,
      answered: (_, error) => {
        this.#side.unask(settle)
        if (error?.retryable) return this.#later(settle, error)
        // A lease that had ended is somebody else's matter by now.
        this.#unanswered.delete(ending)
        if (this.#unanswered.size === 0) this.#flush()
        this.#rest()
      },
    }
    this.#side.ask(settle)
  }

  #later(by: Asking, { retryAfterMs = BUSY_MS }: Trouble): void {
    void pause(retryAfterMs).then(() => this.#ended || this.#side.ask(by))
  }
}

/** Checked here: a home turns a frame with a wrong number away as a whole. @throws {MessError} `bad_option` */
export function checkWhole(name: string, value: number | undefined, most: number, least = 0): void {
  if (value !== undefined && !(Number.isSafeInteger(value) && value >= least && value <= most))
    throw new MessError('bad_option', `${name}: a whole number ${least} to ${most}`)
}

function abortOf(task: Task): AbortController {
  task.abort ??= new AbortController()
  return task.abort
}

const short = (text: string): string => text.slice(0, QUEUE_LIMITS.jobErrorChars)
const keyOf = ([id, token]: Lease): string => `${id} ${token}`
