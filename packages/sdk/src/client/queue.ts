import { complain } from '../platform.ts'
import { CLIENT_LIMITS } from '../protocol/client-limits.ts'
import type { Backoff, CountsResult, JobOptions, ListResult } from '../protocol/frames/queue.ts'
import { nameFault } from '../protocol/name.ts'
import { payloadFault } from '../protocol/payload.ts'
import { utf8Bytes } from '../protocol/text.ts'
import { MessError } from './errors.ts'
import type { Mess } from './mess.ts'
import { type OpenQueue, QueueChannel } from './queue-channel.ts'
import type { QueueHomes } from './queue-local.ts'
import { applySchema, type StandardSchema } from './schema.ts'
import { type Job, type Worker, Working, type WorkOptions } from './worker.ts'

/** How long a job waits after an attempt that failed. What is left out is the default: exponential from 1 s, doubled, 10 min at most, 0.2. */
export type BackoffOptions = Partial<Backoff>

export interface EnqueueOptions {
  /** 0 to 9; 9 goes first. Default 4. */
  readonly priority?: number
  /** Not before so many ms from now. */
  readonly delayMs?: number
  /** Not before this moment. */
  readonly runAt?: Date
  /** In all, the first one included. Default 5. */
  readonly attempts?: number
  readonly backoff?: BackoffOptions
  /** Not begun within so many ms, it is dead. */
  readonly ttlMs?: number
}

export interface QueueOptions<I, O> extends Omit<EnqueueOptions, 'delayMs' | 'runAt'> {
  /** Checks what is enqueued and what handlers get. Must answer at once. */
  readonly schema?: StandardSchema<I, O>
}

export interface EnqueuedJob {
  /** `undefined` for a repeat that is so old that its id was forgotten. */
  readonly id: number | undefined
  readonly duplicate: boolean
}

/** A job as it can be looked at. */
export interface JobView {
  readonly id: number
  /** `null` where one may not see it. */
  readonly data: unknown
  readonly enqueuedAt: Date
  /** When it is due, or since when it is dead; `undefined` for at once. */
  readonly dueAt: Date | undefined
  /** Attempts that failed, and leases that ended without a word. */
  readonly failures: number
  readonly losses: number
  readonly error: string | undefined
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
   * Add one job. Resolves when it is durable at the queue's home; it is there once, however often it had to be sent.
   * @param data a JSON value, at most {@link CLIENT_LIMITS.messageBytes} bytes encoded
   * @throws {MessError} as a rejection: `bad_payload`, `too_deep`, `message_too_large`, `outbox_full`, `bad_option`; {@link SchemaError}
   */
  enqueue(data: I, options?: EnqueueOptions): Promise<EnqueuedJob>
  /** The same for many, in their order. All or none is checked before anything is sent. */
  enqueueMany(data: readonly I[], options?: EnqueueOptions): Promise<EnqueuedJob[]>
  /** Handle jobs, as many at a time as `concurrency` says. A handler that returns has done its job; one that throws wants another attempt. */
  work(handler: (job: Job<O>) => unknown, options?: WorkOptions): Worker
  counts(): Promise<JobCounts>
  /** One page of the jobs that wait, or are dead, in their order. @param options.limit 1 to 1,000, default 100 */
  list(
    state: 'ready' | 'scheduled' | 'retrying' | 'dead',
    options?: { readonly after?: JobPlace; readonly limit?: number },
  ): Promise<JobPage>
  /** Jobs that are set aside, oldest first. */
  dead(options?: { readonly after?: JobPlace; readonly limit?: number }): Promise<JobPage>
  /** Dead jobs wait again, with all their attempts: those named, or all. @returns how many */
  redrive(ids?: readonly number[]): Promise<number>
  /** Jobs that are not done are not to be; handlers are told by their signal. @returns how many there were */
  cancel(ids: readonly number[]): Promise<number>
  /** Nobody is given a job until `resume()`; what is held is finished. */
  pause(): Promise<void>
  resume(): Promise<void>
  /**
   * How many jobs all workers together may hold at a time, and how many are given out: `count` at once, and as many in each `periodMs`
   * after that. What is left out is not limited; a restart does not forget it.
   */
  limit(limits: QueueLimits): Promise<void>
}

export interface QueueLimits {
  readonly concurrency?: number
  readonly rate?: { readonly count: number; readonly periodMs: number }
}

const BACKOFF: Backoff = { type: 'exponential', initialMs: 1_000, factor: 2, maxMs: 600_000, jitter: 0.2 }

/** A client's queues: their channels by name, and how links to them are opened. */
interface Queues {
  readonly channels: Map<string, QueueChannel>
  readonly open: OpenQueue
}
const queuesOf = new WeakMap<Mess, Queues>()

/**
 * A handle on a queue of a client. So far queues live in the process of a client without a server, in memory.
 * @throws {MessError} `bad_name`, `bad_option`, `closed`
 */
export function createQueue<I, O = I>(mess: Mess, name: string, options: QueueOptions<I, O> = {}): Queue<I, O> {
  const wrong = nameFault(name)
  if (wrong) throw new MessError('bad_name', `The queue name ${wrong}`)
  const { schema, ...defaults } = options
  const shared = wireOptions(defaults)
  const channel = (): QueueChannel => channelOf(mess, name)
  const read = (raw: unknown): O => (schema ? applySchema(schema as StandardSchema<unknown, O>, raw, 'Job') : raw) as O

  const lineOf = (data: I): string => {
    if (schema) applySchema(schema, data, 'Data')
    const fault = payloadFault(data)
    if (fault) throw new MessError(fault.code, fault.message, { scope: 'message' })
    const line = JSON.stringify(data)
    if (line.length * 3 > CLIENT_LIMITS.messageBytes && utf8Bytes(line) > CLIENT_LIMITS.messageBytes)
      throw new MessError('message_too_large', `A payload may have ${CLIENT_LIMITS.messageBytes} bytes`)
    return line
  }

  const enqueueMany = async (data: readonly I[], own: EnqueueOptions = {}): Promise<EnqueuedJob[]> => {
    const jobOptions = { ...shared, ...wireOptions(own) }
    const given = Object.keys(jobOptions).length > 0 ? jobOptions : null
    const lines = data.map(lineOf)
    const to = channel()
    return Promise.all(
      lines.map(
        (line) =>
          new Promise<EnqueuedJob>((resolve, reject) => {
            to.enqueue({
              line,
              options: given,
              done: (id, duplicate) => resolve({ id, duplicate }),
              failed: reject,
            })
          }),
      ),
    )
  }

  const list: Queue<I, O>['list'] = async (state, { after, limit = 100 } = {}) => {
    const { jobs, messages, next } = await channel().ask<ListResult>('list', { state, limit, ...(after && { after }) })
    return {
      jobs: jobs.map(({ id, enqueuedAt, dueAt, attempt, losses, error }, i) => ({
        id,
        data: messages[i],
        enqueuedAt: new Date(enqueuedAt),
        dueAt: dueAt === 0 ? undefined : new Date(dueAt),
        failures: attempt,
        losses,
        error,
      })),
      next: next as JobPlace | undefined,
    }
  }
  const setPaused = async (paused: boolean): Promise<void> => {
    await channel().ask('pause', { paused })
  }

  return {
    name,
    enqueue: async (data, own) => (await enqueueMany([data], own))[0] as EnqueuedJob,
    enqueueMany,
    work: (handler, workOptions = {}) => new Working<O>(channel(), handler, workOptions, { read, report: complain }),
    counts: () => channel().ask('counts', {}),
    list,
    dead: (page) => list('dead', page),
    async redrive(ids) {
      let count = 0
      for (;;) {
        const { redriven, more } = await channel().ask<{ redriven: number; more: boolean }>(
          'redrive',
          ids ? { ids } : {},
        )
        count += redriven
        if (!more) return count
      }
    },
    cancel: async (ids) => (await channel().ask<{ cancelled: number }>('cancel', { ids })).cancelled,
    pause: () => setPaused(true),
    resume: () => setPaused(false),
    limit: async ({ concurrency, rate }) => {
      await channel().ask('limit', { concurrency, rate })
    },
  }
}

/** @throws {MessError} `closed`; `bad_option` for a client whose queues would live on a server */
function channelOf(mess: Mess, name: string): QueueChannel {
  // Whoever has queues is a client in use, which this makes it.
  void mess.outbox
  if (mess.status.connection !== 'local')
    throw new MessError('bad_option', 'url: queues live in the process so far; make a client without a server', {
      scope: 'mess',
    })
  const { channels, open } = queuesOf.get(mess) ?? makeQueues(mess)
  const known = channels.get(name)
  if (known) return known
  const channel = new QueueChannel(name, open)
  channels.set(name, channel)
  return channel
}

function makeQueues(mess: Mess): Queues {
  let homes: Promise<QueueHomes> | undefined
  // Loaded only when one is used; what could not be loaded now may be later.
  const load = (): Promise<QueueHomes> => {
    homes ??= import('./queue-local.ts').then(({ QueueHomes }) => new QueueHomes())
    homes.catch(() => {
      homes = undefined
    })
    return homes
  }
  const queues: Queues = {
    channels: new Map(),
    open: async (queue, events) => (await load()).open(queue, events),
  }
  queuesOf.set(mess, queues)
  const off = mess.on('status', ({ connection }) => {
    if (connection !== 'closed') return
    off()
    for (const channel of queues.channels.values()) channel.close()
    void homes?.then((made) => made.close())
  })
  return queues
}

function wireOptions({ runAt, backoff, ...rest }: EnqueueOptions): JobOptions {
  return {
    ...rest,
    ...(runAt && { runAt: runAt.getTime() }),
    ...(backoff && { backoff: { ...BACKOFF, ...backoff } }),
  }
}
