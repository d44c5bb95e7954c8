import { complain, now } from '../platform.ts'
import { CLIENT_LIMITS } from '../protocol/client-limits.ts'
import { EVERY_QUEUE } from '../protocol/every-queue.ts'
import type { Backoff, CountsResult, JobOptions } from '../protocol/frames/queue.ts'
import { nameFault } from '../protocol/name.ts'
import { QUEUE_LIMITS } from '../protocol/queue-limits.ts'
import { utf8Bytes } from '../protocol/text.ts'
import { MessError } from './errors.ts'
import type { EnqueueHooks } from './hooks.ts'
import type { Mess } from './mess.ts'
import type { ManyQueues } from './queue-many.ts'
import { lineOf, QueueSide } from './queue-side.ts'
import type { Ack, PendingReceipt, Stored } from './receipt.ts'
import type { Schedules } from './schedules.ts'
import { applySchema, type StandardSchema } from './schema.ts'
import { checkWhole, type Job, type JobReport, type Worker, Working, type WorkOptions } from './worker.ts'

/** How long a job waits after an attempt that failed. What is left out is the default: exponential from 1 s, doubled, 10 min at most, 0.2. */
export type BackoffOptions = Partial<Backoff>

export interface EnqueueOptions {
  /** 0 to 9; 9 goes first. Default 4. */
  readonly priority?: number
  /** Not before so many ms from now, also if it is sent only later, and whatever this device takes for the time. */
  readonly delayMs?: number
  /** Not before this moment, by the clock of the queue's home. */
  readonly runAt?: Date
  /** In all, the first one included. Default 5. */
  readonly attempts?: number
  readonly backoff?: BackoffOptions
  /** Not begun within so many ms from now, it is dead. */
  readonly ttlMs?: number
  /**
   * Jobs of one group are handled in their order, by priority and then as they came, and `concurrency` of them at a time, or one. With
   * one, a job that waits for another attempt, or is put off, holds back those behind it until it is done, dead or cancelled. The name
   * has 1 to 128 characters.
   */
  readonly group?: string | { readonly id: string; readonly concurrency: number }
  readonly dedupe?: DedupeOptions
  /** Done, it is kept with its result for so many ms, 7 days at most. Default: not at all. */
  readonly retain?: { readonly ms: number }
  /** Names of errors after which no other attempt would help: the job is dead at once. At most 32. */
  readonly nonRetryable?: readonly string[]
}

/**
 * A job is enqueued under a key, and another one has that key while it is not over. `drop` (the default): nothing is stored; with `ttlMs`
 * until so long after the first was enqueued, also when that is done. `replace`: the one that waits gets the payload and options of
 * this one, and begins anew. `debounce`: the same, and it is put off by the `delayMs` of this one, until `maxDelayMs` (default: a day)
 * after the first. A job that is being worked on is never changed: the new one waits behind it.
 */
export interface DedupeOptions {
  /** 1 to 256 bytes; one space of keys per queue, whoever enqueues. */
  readonly key: string
  readonly mode?: 'drop' | 'replace' | 'debounce'
  readonly ttlMs?: number
  readonly maxDelayMs?: number
}

export interface QueueOptions<I, O> extends Omit<EnqueueOptions, 'delayMs' | 'runAt' | 'dedupe'> {
  /** Checks what is enqueued and what handlers get. Must answer at once. */
  readonly schema?: StandardSchema<I, O>
  /** What else is done with each job enqueued by this handle; jobs that others or schedules add do not come by here. */
  readonly hooks?: EnqueueHooks<I>
  /**
   * For tests, with a client without a `url`: jobs are handled by this, where they are enqueued. `enqueue()` resolves when they are over;
   * whatever would wait, for its time or for another attempt, goes on at once, and all else is as ever. It rejects as `result()` does: with
   * `job_dead` once no attempt is left, whose `cause` is what the last one threw.
   */
  readonly inline?: (job: Job<O>) => unknown
}

/** One job, for whoever enqueued it; of others' jobs for whoever may see payloads. */
export interface JobHandle {
  /** Of a duplicate that of the first; `undefined` for a repeat that is so old that its id was forgotten. */
  readonly id: number | undefined
  /**
   * What its handler returned, once it is done. Survives lost connections; what became of a job that is not retained is known to its
   * home for a while after its end, in memory.
   * @param options.signal ends the wait, not the job
   * @throws {MessError} as a rejection: `job_dead`, `job_expired`, `job_cancelled`, `job_unknown`
   */
  result(options?: { readonly signal?: AbortSignal }): Promise<unknown>
  /** What its handler reports from now on, with the newest of before, until the job is over. Who is slow misses the oldest. */
  progress(): AsyncIterable<JobReport>
  /** It is not to be done; a handler that works on it is told by its signal. @returns whether it was not over yet */
  cancel(reason?: string): Promise<boolean>
}

export interface EnqueuedJob extends JobHandle {
  /** It was stored before, or another job has its key; of that the id is told. */
  readonly duplicate: boolean
}

/**
 * What `enqueue()` answers: a promise of the job. A rejection that nobody awaits is an event (`refused`) and never an unhandled rejection,
 * but for what was wrong before anything was stored.
 */
export interface Enqueuing<T> extends Promise<T> {
  /** Resolves once it is safe on this side: `'disk'` survives closing the browser. */
  readonly stored: Promise<Stored>
}

/** A job as it can be looked at. */
export interface JobView {
  readonly id: number
  /** `null` where one may not see it. */
  readonly data: unknown
  readonly enqueuedAt: Date
  /** When it is due, since when it is dead, or when it may be forgotten; `undefined` for at once. */
  readonly dueAt: Date | undefined
  /** Attempts that failed, and leases that ended without a word. */
  readonly failures: number
  readonly losses: number
  readonly error: string | undefined
  readonly group: string | undefined
  /** Of one that is active: the worker that has it, and until when. */
  readonly worker: string | undefined
  readonly leasedUntil: Date | undefined
  /** Of a completed one what its handler returned, and the last lines it logged, where one may see payloads. */
  readonly result: unknown
  readonly log: readonly string[]
  /** In which it was found. One whose time has come since is ready. */
  readonly state: JobState
}

/** Somebody who works on a queue. `kind`, `host` and `pid` are what it says of itself, which nobody checks. */
export interface WorkerView {
  readonly name: string
  /** `undefined` of one that has not been heard of since the queue's home was started. */
  readonly user: string | undefined
  /** `http` is one without a link, which claims jobs over HTTP and is known while it holds some. */
  readonly kind: 'node' | 'browser' | 'worker' | 'http' | undefined
  readonly host: string | undefined
  readonly pid: number | undefined
  readonly since: Date
  /** How many jobs it wants to hold at most, and how many it holds. */
  readonly capacity: number
  readonly holding: number
  /** It takes no other job for now. */
  readonly quiet: boolean
  /** Since when its link is gone. */
  readonly goneSince: Date | undefined
  /** Up to 1,000 of those that it holds, and how long at most. */
  readonly jobs: readonly { readonly id: number; readonly since: Date; readonly until: Date }[]
}

/** Where a job stands. `ready` includes those that wait for others of their group. */
export type JobState = 'ready' | 'scheduled' | 'retrying' | 'active' | 'dead' | 'completed'

/** Which jobs are meant; what is left out is not asked for. */
export interface JobSearch {
  /** Part of the payload as JSON text, 1 to 256 characters. Asks for the right to look at payloads. */
  readonly text?: string
  readonly group?: string
  /** Part of the error with which it failed last. */
  readonly error?: string
  readonly enqueuedFrom?: Date
  /** Not included. */
  readonly enqueuedTo?: Date
}

export interface PageOptions extends JobSearch {
  readonly after?: JobPlace
  /** 1 to 1,000; default 100. */
  readonly limit?: number
}

export interface BulkFilter extends JobSearch {
  /** For `cancel`: only these. Default: all. */
  readonly state?: 'ready' | 'scheduled' | 'retrying' | 'dead'
}

export interface JobPage {
  readonly jobs: readonly JobView[]
  /** `after` of the next page; `undefined` on the last one. */
  readonly next: JobPlace | undefined
}

declare const place: unique symbol
/** A place in the order of jobs, which only Messkit makes. */
export interface JobPlace {
  readonly [place]: true
}

export type JobCounts = CountsResult

/** A named set of jobs. A handle costs nothing; the same name twice is the same queue. */
export interface Queue<I, O = I> {
  readonly name: string
  /**
   * Add one job, also offline. Resolves when it is durable at the queue's home; it is there once, however often it had to be sent. Until
   * then it lies in the outbox like a message, under the topic `../queues/` and the queue's name: it counts as unsent, `mess.outbox` lists
   * it, and one that the home refused is set aside there.
   * @param data a JSON value, at most {@link CLIENT_LIMITS.messageBytes} bytes encoded
   * @throws {MessError} as a rejection: `bad_payload`, `too_deep`, `message_too_large`, `outbox_full`, `bad_option`, `closed`;
   * {@link SchemaError}; what the home refused it for
   */
  enqueue(data: I, options?: EnqueueOptions): Enqueuing<EnqueuedJob>
  /** The same for many, in their order. All are checked before the first is stored. */
  enqueueMany(data: readonly I[], options?: EnqueueOptions): Enqueuing<EnqueuedJob[]>
  /** Handle jobs, as many at a time as `concurrency` says. A handler that returns has done its job; one that throws wants another attempt. */
  work(handler: (job: Job<O>) => unknown, options?: WorkOptions): Worker
  counts(): Promise<JobCounts>
  /** A job by its id. */
  job(id: number): JobHandle
  /** Who works on it now, and on what: also those whose link is gone, until their jobs go to others. */
  workers(): Promise<WorkerView[]>
  /**
   * One page of the jobs in a state, in their order. With something to look for a page is what one reading of the queue's home found (1,000
   * jobs, 768 KiB), so it may be empty, and go on.
   */
  list(state: JobState, options?: PageOptions): Promise<JobPage>
  /** Jobs that are set aside, oldest first. */
  dead(options?: PageOptions): Promise<JobPage>
  /** The first jobs that are found, in one state or in all. Reads through the queue until there are enough. @param what.limit default 100 */
  search(what: JobSearch & { readonly state?: JobState; readonly limit?: number }): Promise<JobView[]>
  /** Dead jobs wait again, with all their attempts and however old they are: those named, 1,000 at most, or all that are dead now. @returns how many */
  redrive(ids?: readonly number[]): Promise<number>
  /** Jobs that are not done, 1,000 at most, are not to be; handlers are told by their signal. @returns how many there were */
  cancel(ids: readonly number[]): Promise<number>
  /** Jobs that wait for their time, or for another attempt, 1,000 at most, are ready now. @returns how many did */
  promote(ids: readonly number[]): Promise<number>
  /**
   * The same for all jobs that a filter means, among those that are there now: what is enqueued, fails or dies while this goes on, is left
   * alone. `redrive` takes dead jobs, `promote` scheduled ones, `retry` those that wait for another attempt, `cancel` whatever `state` says.
   * @returns how many; fewer where the link was lost on the way and others were done already
   */
  readonly bulk: Readonly<Record<'redrive' | 'cancel' | 'promote' | 'retry', (filter?: BulkFilter) => Promise<number>>>
  /** Removes the dead for good. @returns how many */
  clear(): Promise<number>
  /** Nobody is given a job until `resume()`; what is held is finished. */
  pause(): Promise<void>
  resume(): Promise<void>
  /**
   * How many jobs all workers together may hold at a time, and how many are given out: `count` at once, and as many in each `periodMs`
   * after that. What is left out is not limited; a restart does not forget it.
   */
  limit(limits: QueueLimits): Promise<void>
  /** Jobs that the queue adds by itself when their time comes. */
  readonly schedules: Schedules<I>
}

export interface QueueLimits {
  readonly concurrency?: number
  readonly rate?: { readonly count: number; readonly periodMs: number }
}

const BACKOFF: Backoff = { type: 'exponential', initialMs: 1_000, factor: 2, maxMs: 600_000, jitter: 0.2 }

/**
 * A handle on a queue of a client. It lives where the client's topics do: on the server, or else between the tabs of an origin or in the
 * process.
 * @throws {MessError} `bad_name`, `bad_option`
 */
export function createQueue<I, O = I>(mess: Mess, name: string, options: QueueOptions<I, O> = {}): Queue<I, O> {
  checkName(name)
  const { schema, hooks: { beforeEnqueue, afterEnqueue } = {}, inline, ...defaults } = options
  const shared = wireOptions(defaults)
  const side = new QueueSide(mess, name)
  const read = (raw: unknown): O => (schema ? applySchema(schema as StandardSchema<unknown, O>, raw, 'Job') : raw) as O

  const written = (data: I): string => {
    if (schema) applySchema(schema, data, 'Data')
    return lineOf(data)
  }

  const admit = (data: I): void => {
    let cause: unknown
    try {
      // Whoever answers later would refuse nothing.
      if ((beforeEnqueue?.(data) ?? true) === true) return
    } catch (thrown) {
      cause = thrown
    }
    throw new MessError('enqueue_refused', 'beforeEnqueue refused it', { cause })
  }

  const add = (data: readonly I[], own: EnqueueOptions | undefined): Enqueuing<EnqueuedJob[]> => {
    const jobOptions = { ...shared, ...(own && wireOptions(own)) }
    const { delayMs, ttlMs } = jobOptions
    const timed = delayMs !== undefined || ttlMs !== undefined
    const given = Object.keys(jobOptions).length > 0
    const key = given ? JSON.stringify({ ...jobOptions, askedAt: timed ? now() : undefined }) : undefined
    const lines = data.map(written)
    if (beforeEnqueue) data.forEach(admit)
    const { unsent, refused } = mess.status
    if (unsent + refused + lines.length > CLIENT_LIMITS.outboxMessages)
      throw new MessError('outbox_full', `The outbox holds ${unsent + refused} messages`, { scope: 'mess' })
    const { outbox } = side
    const receipts = lines.map((line) => (inlined ? inlined.then((one) => one.add(line, key)) : outbox.add(line, key)))
    const jobs = Promise.all(receipts).then((acks) =>
      (acks as Ack[]).map(({ offset, duplicate }) => new Handle(side, offset, duplicate)),
    )
    if (afterEnqueue)
      import('./hooks.ts').then(({ enqueued }) => enqueued(jobs, data, afterEnqueue, side)).catch(complain)
    // What was enqueued in one go is stored in one go.
    return withStored(
      jobs,
      (receipts.at(-1) as PendingReceipt | undefined)?.stored ?? Promise.resolve({ durability: 'memory' }),
    )
  }

  const enqueueMany: Queue<I, O>['enqueueMany'] = (data, own) => {
    try {
      return add(data, own)
    } catch (error) {
      const wrong = Promise.reject(error)
      return Object.assign(wrong, { stored: wrong as Promise<never> })
    }
  }

  // Whoever has one is a test.
  const inlined =
    inline &&
    import('./inline.ts').then(
      ({ Inline }) =>
        new Inline<O>(mess, side, inline, (handler, turns, onError) => {
          const concurrency = QUEUE_LIMITS.workerHandlers
          return new Working(side, { handler, read, turns }, { concurrency, onError })
        }),
    )

  // Whoever only adds jobs and works does not load it.
  const managing = async () => (await import('./queue-manage.ts')).managementOf(side)

  return {
    name,
    enqueue: (data, own) => {
      const many = enqueueMany([data], own)
      const one = many.then(([job]) => job as EnqueuedJob)
      return many.stored === (many as unknown)
        ? Object.assign(one, { stored: one as never })
        : withStored(one, many.stored)
    },
    enqueueMany,
    work: (handler, workOptions = {}) => new Working<O>(side, { handler, read }, workOptions),
    counts: () => side.answer('counts', {}),
    job: (id) => new Handle(side, id, false),
    ...later(managing, MANAGED),
    bulk: later(async () => (await managing()).bulk, ['redrive', 'cancel', 'promote', 'retry']),
    // Who has no schedules does not load what manages them.
    schedules: later(
      async () => (await import('./schedules.ts')).schedulesOf<I>(side, { lineOf: written, wireOptions }),
      ['upsert', 'list', 'remove', 'runNow', 'pause', 'resume'],
    ),
  }
}

const MANAGED = [
  'workers',
  'list',
  'dead',
  'search',
  'redrive',
  'cancel',
  'promote',
  'clear',
  'pause',
  'resume',
  'limit',
] as const

/** Calls of something that is loaded with the first of them. */
function later<T extends object, K extends keyof T>(load: () => Promise<T>, names: readonly K[]): Pick<T, K> {
  const call =
    (name: K) =>
    async (...given: unknown[]): Promise<unknown> =>
      ((await load())[name] as (...given: unknown[]) => unknown)(...given)
  return Object.fromEntries(names.map((name) => [name, call(name)])) as Pick<T, K>
}

export interface ManyOptions extends WorkOptions {
  /** How often a server is asked for queues that are new, in ms. Default 10,000; without a server they are found at once. */
  readonly findMs?: number
}

/**
 * Handle the jobs of several queues, the earlier ones first: `work(mess, ['critical', 'mail/*', '*', '!low'], handler)`. `*` stands for any
 * characters, and what begins with `!` is left out; queues that fit the same pattern go by their names. A `*` finds the queues that there
 * are, and those that come later, wherever they live: on a server those on which its user may work. `concurrency` and whatever else
 * there is counts for all of them together. A job of an earlier queue is begun before one of a later one whenever both are at hand, so a
 * later queue gets nothing while earlier ones have more than can be handled: give it a worker of its own.
 * @throws {MessError} `bad_name`, `bad_option`
 */
export function work<T = unknown>(
  mess: Mess,
  queues: readonly string[],
  handler: (job: Job<T>, queue: string) => unknown,
  options: ManyOptions = {},
): Worker {
  for (const pattern of queues) checkName(pattern.replace(/^!/, '').replaceAll('*', 'x'))
  checkWhole('findMs', options.findMs, QUEUE_LIMITS.delayMs, 1)
  const side = new QueueSide(mess, EVERY_QUEUE)
  let made: ManyQueues<T> | undefined
  const many = import('./queue-many.ts').then(({ ManyQueues }) => {
    made = new ManyQueues(side, queues, options, (queue, turns) => {
      const read = (raw: unknown): T => raw as T
      return new Working<T>(new QueueSide(mess, queue), { handler: (job) => handler(job, queue), read, turns }, options)
    })
    return made
  })
  many.catch(complain)
  // What stops begins no other handler, from that moment on.
  const stop: Worker['stop'] = (how) => made?.stop(how) ?? many.then((loaded) => loaded.stop(how))
  const done = many.then((loaded) => loaded.done)
  // It ends with its client also where it has found no queue.
  side.track({ stop: (waitMs) => stop({ waitMs }), done })
  const hush = (quiet: boolean): void => void many.then((loaded) => loaded.hush(quiet))
  return {
    get running() {
      return made?.running ?? 0
    },
    done,
    quiet: () => hush(true),
    resume: () => hush(false),
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

/** The names of the queues that there are: in the process, in the browser, or on the server those that its user may view or work on. */
export const queueNames = async (mess: Mess): Promise<string[]> =>
  (await import('./queue-many.ts')).namesOf(new QueueSide(mess, EVERY_QUEUE))

class Handle implements EnqueuedJob {
  readonly id: number | undefined
  readonly duplicate: boolean
  readonly #side: QueueSide

  constructor(side: QueueSide, id: number | undefined, duplicate: boolean) {
    this.#side = side
    this.id = id
    this.duplicate = duplicate
  }

  async result({ signal }: { readonly signal?: AbortSignal } = {}): Promise<unknown> {
    return (await this.#side.extras()).watch.result(this.id, signal)
  }

  async *progress(): AsyncGenerator<JobReport, void> {
    yield* (await this.#side.extras()).watch.progress(this.id)
  }

  async cancel(reason?: string): Promise<boolean> {
    return (await this.#side.extras()).cancel(this.id, reason)
  }
}

function checkName(name: string): void {
  const wrong = nameFault(name)
  if (wrong) throw new MessError('bad_name', `The queue name ${wrong}`)
}

/** A refusal is an event of the client; whoever looks at neither promise misses nothing. */
function withStored<T>(jobs: Promise<T>, stored: Promise<Stored>): Enqueuing<T> {
  jobs.catch(() => {})
  return Object.assign(jobs, { stored })
}

const BOUNDS = {
  priority: [0, 9],
  delayMs: [0, QUEUE_LIMITS.delayMs],
  attempts: [1, QUEUE_LIMITS.jobAttempts],
  ttlMs: [0, QUEUE_LIMITS.delayMs],
  initialMs: [0, QUEUE_LIMITS.delayMs],
  maxMs: [0, QUEUE_LIMITS.delayMs],
  /** Of `retain`, and of `dedupe`. */
  ms: [0, 7 * 86_400_000],
  maxDelayMs: [0, QUEUE_LIMITS.delayMs],
  keyMs: [0, QUEUE_LIMITS.delayMs],
} as const

/** Checked here: what a home refuses is told later, and lies in the outbox until then. @throws {MessError} `bad_option` */
function wireOptions({ runAt, backoff, dedupe, ...rest }: EnqueueOptions): JobOptions {
  const { key = '_', ttlMs: keyMs, maxDelayMs } = dedupe ?? {}
  const numbers = { ...rest, ...backoff, ...rest.retain, maxDelayMs, keyMs }
  for (const [name, [least, most]] of Object.entries(BOUNDS))
    checkWhole(name, numbers[name as keyof typeof BOUNDS], most, least)
  const { type, factor, jitter } = { ...BACKOFF, ...backoff }
  if (!((type === 'fixed' || type === 'exponential') && factor >= 1 && factor <= 100 && jitter >= 0 && jitter <= 1))
    throw new MessError('bad_option', 'backoff: fixed or exponential, factor 1 to 100, jitter 0 to 1')
  const { group } = rest
  const { id, concurrency } = typeof group === 'object' ? group : { id: group, concurrency: 1 }
  if (id !== undefined && !(id.length >= 1 && id.length <= QUEUE_LIMITS.groupChars))
    throw new MessError('bad_option', `group: 1 to ${QUEUE_LIMITS.groupChars} characters`)
  checkWhole('group.concurrency', concurrency, QUEUE_LIMITS.leasesPerQueue, 1)
  if (key === '' || !key.isWellFormed() || utf8Bytes(key) > 256)
    throw new MessError('bad_option', 'key: 1 to 256 bytes')
  const at = runAt?.getTime()
  if (at !== undefined && !(at >= 0)) throw new MessError('bad_option', 'runAt: a moment after 1970')
  return {
    ...rest,
    ...(at !== undefined && { runAt: at }),
    ...(dedupe && { dedupe: { mode: 'drop', ...dedupe } }),
    ...(backoff && { backoff: { ...BACKOFF, ...backoff } }),
  } as JobOptions
}
