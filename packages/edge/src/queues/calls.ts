import {
  type ClaimResult,
  type CountsResult,
  type Lease,
  LIMITS,
  type ListResult,
  type QueueMethod,
} from '@messkit/sdk/protocol'
import * as v from 'valibot'

/**
 * What can be asked of a queue over HTTP. A call is a request of the queue's protocol: here its body is given the shape of one, with the
 * defaults that save a client without the SDK some typing, and the queue judges the values as it does those of any link.
 */

/** A request, and how long its answer may stay out. */
export interface Asked {
  readonly method: QueueMethod
  readonly params: object
  /** Payloads of an enqueue. */
  readonly jobs?: readonly unknown[]
  readonly waitMs?: number
}

interface Call {
  /** @throws {v.ValiError} @param key of the request, if it brings one */
  readonly ask: (body: unknown, key: string | undefined) => Asked
  /** @param result of the protocol; `undefined` where the answer stayed out @returns what is answered as JSON, or text as it is */
  readonly answer: (result: object | undefined, queue: string) => object | string
}

const call = <S extends v.GenericSchema>(
  body: S,
  ask: (body: v.InferOutput<S>, key: string | undefined) => Asked,
  answer: Call['answer'] = (result) => result ?? {},
): Call => ({ ask: (unread, key) => ask(v.parse(body, unread), key), answer })

/** Who names none is this one: workers of one user that do may still tell their jobs apart by the tokens of their leases. */
const worker = v.optional(v.string(), 'http-worker')
const leases = v.array(v.unknown())
const Nothing = v.strictObject({})
const passedOn = v.optional(v.unknown())

const LEASE_MS = 60_000
const PAGE_JOBS = 100

/** What is the same for several leases, said once. */
const settle = <E extends v.ObjectEntries>(
  entries: E,
  params: (leases: readonly unknown[], how: v.InferOutput<v.StrictObjectSchema<E, undefined>>) => object,
): Call =>
  call(v.strictObject({ ...entries, worker, leases }), ({ worker, leases, ...how }) => ({
    method: 'settle',
    params: { worker, ...params(leases as unknown[], how as never) },
  }))

const each = (leases: readonly unknown[], how: object): object[] => leases.map((lease) => ({ lease, ...how }))

export const QUEUE_CALLS: Readonly<Record<string, Call>> = {
  'POST enqueue': call(
    v.strictObject({
      jobs: v.pipe(v.array(v.unknown()), v.minLength(1), v.maxLength(LIMITS.messagesPerFrame)),
      options: passedOn,
      each: passedOn,
    }),
    ({ jobs, ...options }, publisher) => ({
      method: 'enqueue',
      params: { ...(publisher !== undefined && { publisher }), after: 0, first: 1, ...options },
      jobs,
    }),
    (result) => ({ jobs: (result as Enqueued).fates.flatMap(fatesOf) }),
  ),
  'POST claim': call(
    v.strictObject({
      worker,
      count: v.optional(v.unknown(), 1),
      leaseMs: v.optional(v.unknown(), LEASE_MS),
      waitMs: v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(LIMITS.claimWaitMs)), 0),
    }),
    ({ waitMs, ...params }) => ({ method: 'claim', params: { ...params, wait: waitMs > 0 }, waitMs }),
    (result) => ({ jobs: result ? jobsOf(result as ClaimResult) : [] }),
  ),
  'POST ack': settle({}, (ack) => ({ ack })),
  'POST retry': settle({ error: v.optional(v.unknown(), ''), delayMs: passedOn, dead: passedOn }, (leases, how) => ({
    retry: each(leases, how),
  })),
  'POST extend': settle({ ms: passedOn }, (leases, how) => ({ extend: each(leases, how) })),
  'POST release': settle({}, (release) => ({ release })),
  'POST snooze': settle({ ms: v.unknown() }, (leases, how) => ({ snooze: each(leases, how) })),
  'GET counts': call(Nothing, () => ({ method: 'counts', params: {} })),
  'GET stats': call(
    Nothing,
    () => ({ method: 'counts', params: {} }),
    (result, queue) => statsOf(result as CountsResult, queue),
  ),
  'GET workers': call(
    v.strictObject({ limit: v.optional(v.pipe(v.string(), v.digits(), v.transform(Number))), after: passedOn }),
    (params) => ({ method: 'workers', params }),
  ),
  'GET jobs': call(
    v.strictObject({
      state: v.unknown(),
      limit: v.optional(v.pipe(v.string(), v.digits(), v.transform(Number)), String(PAGE_JOBS)),
      after: v.optional(
        v.pipe(
          v.string(),
          v.regex(/^\d+(,\d+){2}$/),
          v.transform((text) => text.split(',').map(Number)),
        ),
      ),
    }),
    (params) => ({ method: 'list', params }),
    (result) => listOf(result as ListResult),
  ),
  'POST redrive': call(v.strictObject({ ids: passedOn, snapshot: passedOn, after: passedOn }), (params) => ({
    method: 'redrive',
    params,
  })),
  'POST cancel': call(v.strictObject({ ids: v.unknown() }), (params) => ({ method: 'cancel', params })),
  'POST promote': call(v.strictObject({ ids: v.unknown() }), (params) => ({ method: 'promote', params })),
  'POST bulk': call(
    v.strictObject({ action: v.unknown(), state: passedOn, filter: passedOn, snapshot: passedOn, after: passedOn }),
    (params) => ({ method: 'bulk', params }),
  ),
  'POST pause': call(Nothing, () => ({ method: 'pause', params: { paused: true } })),
  'POST resume': call(Nothing, () => ({ method: 'pause', params: { paused: false } })),
  'POST limit': call(v.strictObject({ concurrency: passedOn, rate: passedOn }), (params) => ({
    method: 'limit',
    params,
  })),
  'GET schedules': call(v.strictObject({ after: passedOn }), (params) => ({ method: 'schedules', params })),
  'POST schedule': call(
    v.strictObject({ id: v.unknown(), plan: v.unknown(), options: passedOn, data: v.unknown() }),
    ({ data, ...params }) => ({ method: 'schedule', params: { ...params, data: JSON.stringify(data) } }),
  ),
  'POST unschedule': call(v.strictObject({ id: v.unknown() }), (params) => ({ method: 'unschedule', params })),
  'POST pause-schedule': call(v.strictObject({ id: v.unknown(), paused: v.unknown() }), (params) => ({
    method: 'pauseSchedule',
    params,
  })),
  'POST run-schedule': call(v.strictObject({ id: v.unknown() }), ({ id }, run = crypto.randomUUID()) => ({
    method: 'runSchedule',
    params: { id, run },
  })),
}

interface Enqueued {
  readonly fates: readonly {
    readonly fate: string
    readonly first: number
    readonly count: number
    readonly offset?: number
    readonly code?: string
    readonly message?: string
  }[]
}

/** One for each job. A repeat that is so old that its id was forgotten has none. */
function fatesOf({ first: _, count, offset, ...fate }: Enqueued['fates'][number]): object[] {
  return Array.from({ length: count }, (_, i) => ({ ...(offset !== undefined && { id: offset + i }), ...fate }))
}

function jobsOf({ token, untilMs, jobs, ticks = [], messages }: ClaimResult): object[] {
  return jobs.map(([id, attempt, enqueuedAt], i) => {
    const lease = [id, token as number] satisfies Lease
    const [, schedule, at] = ticks.find(([index]) => index === i) ?? []
    const tick = schedule === undefined ? {} : { tick: { schedule, at } }
    return { id, lease, untilMs, attempt, enqueuedAt, ...tick, data: messages[i] }
  })
}

/** The counts as monitoring reads them: the text format of Prometheus. No name of a queue has a character that would have to be escaped. */
function statsOf({ paused, ...counts }: CountsResult, queue: string): string {
  const jobs = Object.entries(counts).map(
    ([state, count]) => `messkit_queue_jobs{queue="${queue}",state="${state}"} ${count}`,
  )
  return [
    '# HELP messkit_queue_jobs Jobs in each state.',
    '# TYPE messkit_queue_jobs gauge',
    ...jobs,
    '# HELP messkit_queue_paused 1 while nobody is given a job.',
    '# TYPE messkit_queue_paused gauge',
    `messkit_queue_paused{queue="${queue}"} ${Number(paused)}`,
    '',
  ].join('\n')
}

/** `next` is the `after` of the next page. */
function listOf({ jobs, next, messages }: ListResult): object {
  return { jobs: jobs.map((job, i) => ({ ...job, data: messages[i] })), ...(next && { next: next.join() }) }
}
