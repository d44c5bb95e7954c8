import { evictDurableObject, listDurableObjectIds, runDurableObjectAlarm } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { LIMITS } from '@messkit/sdk/protocol'
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import type { Env } from '../../packages/edge/src/env.ts'
import worker from '../../packages/edge/src/index.ts'
import { QUEUE_CALLS } from '../../packages/edge/src/queues/calls.ts'
import { makeToken } from './client.ts'
import { Deployment } from './deployment.ts'
import { leaseOf } from './queue-link.ts'

// A busy machine is slow, and not wrong.
vi.setConfig({ testTimeout: 60_000 })

const settings = env as unknown as { -readonly [K in keyof Env]: Env[K] }
let queues = 0
let queue = ''
let here: Deployment<Env>

beforeEach(() => {
  queue = `http/${++queues}`
  here = new Deployment(worker, settings)
})

afterEach(() => {
  vi.restoreAllMocks()
})

const stub = () => settings.QUEUES.getByName(`queue:main:${queue}`)

interface Sent {
  readonly user?: string
  readonly claims?: object
  readonly headers?: Record<string, string>
}

/** A call as `curl` would make it. */
async function call(name: string, body?: unknown, { user = 'ana', claims = {}, headers = {} }: Sent = {}) {
  const [method, path] = name.split(' ') as [string, string]
  const request = new Request(`https://mess.test/v1/queues/${queue}/${path}`, {
    method,
    headers: { authorization: `Bearer ${await makeToken({ sub: user, ...claims })}`, ...headers },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  const response = await worker.fetch(request, here.vars)
  return { status: response.status, headers: response.headers, body: (await response.json()) as Answered }
}

interface Answered {
  readonly jobs: readonly { readonly id: number; readonly lease: readonly [number, number]; readonly data: unknown }[]
  readonly stale: readonly unknown[]
  readonly next: string
  readonly error: { readonly code: string; readonly message: string; readonly retryAfterMs?: number }
}

const enqueue = (...jobs: unknown[]) => call('POST enqueue', { jobs })
const claim = async (more: object = {}, sent: Sent = {}) => (await call('POST claim', more, sent)).body.jobs
const leasesOf = (jobs: Answered['jobs']) => jobs.map(({ lease }) => lease)
const counts = async () => (await call('GET counts')).body

/** From here on it is so many ms later. */
function later(ms: number): void {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + ms })
  onTestFinished(() => void vi.useRealTimers())
}

// ---- jobs

test('a job is enqueued, claimed and acked', async () => {
  const enqueued = await enqueue({ to: 'x@example.com' }, 'two')
  const jobs = await claim({ count: 10 })
  const active = await counts()
  const acked = await call('POST ack', { leases: leasesOf(jobs) })

  expect(enqueued).toMatchObject({
    status: 200,
    body: {
      jobs: [
        { id: 1, fate: 'stored' },
        { id: 2, fate: 'stored' },
      ],
    },
  })
  expect(jobs).toMatchObject([
    { id: 1, lease: [1, 1], attempt: 1, data: { to: 'x@example.com' }, enqueuedAt: expect.any(Number) },
    { id: 2, lease: [2, 1], attempt: 1, data: 'two' },
  ])
  expect(active).toMatchObject({ ready: 0, active: 2 })
  expect(acked.body).toEqual({ stale: [] })
  expect(await counts()).toMatchObject({ ready: 0, active: 0, dead: 0 })
})

test('enqueueing under an idempotency key is done once for each user', async () => {
  const keyed = (user: string) =>
    call('POST enqueue', { jobs: ['a', 'b'] }, { user, headers: { 'idempotency-key': 'order 4711' } })

  const [first, again, other] = [await keyed('ana'), await keyed('ana'), await keyed('bo')]
  await evictDurableObject(stub())
  const later = await keyed('ana')
  const [unkeyed, twice] = [await enqueue('c'), await enqueue('c')]

  expect(first.body.jobs).toMatchObject([
    { id: 1, fate: 'stored' },
    { id: 2, fate: 'stored' },
  ])
  const repeat = [
    { id: 1, fate: 'duplicate' },
    { id: 2, fate: 'duplicate' },
  ]
  expect(again.body.jobs).toMatchObject(repeat)
  expect(later.body.jobs).toMatchObject(repeat)
  expect(other.body.jobs).toMatchObject([{ id: 3 }, { id: 4 }])
  expect([unkeyed, twice].map(({ body }) => body.jobs[0]?.id)).toEqual([5, 6])
})

test('options are those of all jobs, or of each', async () => {
  await call('POST enqueue', { jobs: ['low', 'high', 'usual'], each: [{ priority: 0 }, { priority: 9 }, null] })
  await call('POST enqueue', { jobs: ['in an hour'], options: { delayMs: 3_600_000 } })

  // A claim may be given fewer than there are, and never none of them.
  const order: unknown[] = []
  for (let jobs = await claim({ count: 10 }); jobs.length > 0; jobs = await claim({ count: 10 }))
    order.push(...jobs.map(({ data }) => data))
  expect(order).toEqual(['high', 'usual', 'low'])
  expect(await counts()).toMatchObject({ scheduled: 1 })
})

test('what becomes of a job: retry, release, snooze, extend; and what is done with the dead', async () => {
  await enqueue('a', 'b', 'c', 'd')
  const [a, b, c, d] = leasesOf(await claim({ count: 4 }))

  const answers = [
    await call('POST retry', { leases: [a], error: 'no such address', dead: true }),
    await call('POST release', { leases: [b] }),
    await call('POST snooze', { leases: [c], ms: 60_000 }),
    await call('POST extend', { leases: [d], ms: 90_000 }),
  ]
  const dead = await call('GET jobs?state=dead')

  expect(answers.map(({ status, body }) => [status, body])).toEqual(Array(4).fill([200, { stale: [] }]))
  expect(await counts()).toMatchObject({ ready: 1, scheduled: 1, active: 1, dead: 1 })
  expect(dead.body).toMatchObject({ jobs: [{ id: 1, error: 'no such address', data: 'a' }] })
  expect((await call('POST redrive', { ids: [1] })).body).toEqual({ redriven: 1, more: false })
  expect((await call('POST redrive')).body).toEqual({ redriven: 0, more: false })
  expect((await call('POST promote', { ids: [1, 99] })).body).toEqual({ promoted: 0 })
  expect((await call('POST bulk', { action: 'retry' })).body).toMatchObject({ count: 0 })
  expect((await call('POST cancel', { ids: [1, 99] })).body).toEqual({ cancelled: 1 })
  expect(await counts()).toMatchObject({ ready: 1, dead: 0 })
})

test('a list comes page by page', async () => {
  await enqueue('a', 'b', 'c')

  const first = (await call('GET jobs?state=ready&limit=2')).body
  const second = (await call(`GET jobs?state=ready&limit=2&after=${first.next}`)).body

  expect([...first.jobs, ...second.jobs].map(({ data }) => data)).toEqual(['a', 'b', 'c'])
})

test('a queue that is paused or limited gives no job away', async () => {
  await enqueue('a', 'b')
  await call('POST pause')
  expect(await claim()).toEqual([])
  await call('POST resume')
  await call('POST limit', { concurrency: 1 })

  expect(await claim({ count: 2 })).toHaveLength(1)
  expect(await claim({ count: 2 })).toEqual([])
})

// ---- claims

test('a claim waits for a job, as long as it said', async () => {
  const waiting = claim({ waitMs: LIMITS.claimWaitMs })
  // Whoever comes later finds the other one there already.
  await counts()
  await enqueue('a')

  expect(await waiting).toMatchObject([{ id: 1, data: 'a' }])
  expect(await claim({ waitMs: 50 })).toEqual([])
  await enqueue('b')
  // Nobody waits any more.
  expect(await counts()).toMatchObject({ ready: 1, active: 1 })
})

test('a lease of a claim ends at its time and not before, and what its worker says then is stale', async () => {
  await enqueue('a')
  const leases = leasesOf(await claim({ leaseMs: 60_000 }))
  await evictDurableObject(stub())
  later(LIMITS.workerGraceMs + 1)
  expect(await counts()).toMatchObject({ active: 1 })

  later(61_000)
  const again = await claim({}, { user: 'bo' })

  expect(again).toMatchObject([{ id: 1, attempt: 2 }])
  expect((await call('POST ack', { leases })).body).toEqual({ stale: leases })
})

test('a lease of a claim that ends while the object sleeps goes to a worker that is pushed to, by the alarm', async () => {
  await enqueue('a')
  await claim({ leaseMs: 5_000 })
  const bo = await here.greetedQueue(queue, 'bo')
  await bo.work(1)
  await evictDurableObject(stub())
  later(6_000)

  expect(await runDurableObjectAlarm(stub())).toBe(true)

  expect(await bo.gets(1)).toMatchObject([{ id: 1, attempt: 2 }])
})

test('nobody settles what another one claimed or was pushed', async () => {
  const link = await here.greetedQueue(queue, 'ana')
  await enqueue('a', 'b')
  const claimed = leasesOf(await claim({ worker: 'worker-of-ana' }))
  await link.work(1)
  const pushed = (await link.gets(1)).map(leaseOf)

  expect((await call('POST ack', { leases: claimed }, { user: 'bo' })).body).toEqual({ stale: claimed })
  expect((await call('POST ack', { leases: claimed })).body).toEqual({ stale: claimed })
  expect((await call('POST ack', { leases: pushed, worker: 'worker-1' })).body).toEqual({ stale: pushed })
  expect(await link.settle({ ack: claimed })).toEqual(claimed)
  expect((await call('POST ack', { leases: claimed, worker: 'worker-of-ana' })).body).toEqual({ stale: [] })
  expect(await link.settle({ ack: pushed })).toEqual([])
})

test('who loses the right to work while they wait is given no job', async () => {
  await here.setPolicy({ rules: 'acl allow all all all' })
  const waiting = call('POST claim', { waitMs: LIMITS.claimWaitMs }, { user: 'loser' })
  await counts()

  const { version } = (await here.call(`GET /access/queues/${queue}`)).body
  await here.call(`PUT /access/queues/${queue}`, { rules: 'acl deny user:loser work queue', ifVersion: version })
  await enqueue('a')

  expect((await waiting).body.error.code).toBe('access_changed')
  expect(await counts()).toMatchObject({ ready: 1, active: 0 })
})

test('a kick ends what waits', async () => {
  const waiting = call('POST claim', { waitMs: LIMITS.claimWaitMs }, { user: 'kicked-caller' })
  await counts()

  const kicked = await here.call('POST /kicks', { what: 'user', user: 'kicked-caller' })

  expect(kicked.body).toMatchObject({ links: 1 })
  expect((await waiting).body.error.code).toBe('kicked')
})

test('those who hold jobs can be looked at', async () => {
  await enqueue('a')
  await call('POST claim', { worker: 'worker-one' })

  expect((await call('GET workers?limit=10')).body).toMatchObject({
    workers: [
      {
        worker: 'worker-one',
        about: { kind: 'http' },
        holding: 1,
        jobs: [[1, expect.any(Number), expect.any(Number)]],
      },
    ],
  })
})

test('its counts are there for monitoring, as text that Prometheus reads', async () => {
  await enqueue('a', 'b')
  await call('POST pause')
  const headers = { authorization: `Bearer ${await makeToken({ sub: 'ana' })}` }
  const url = `https://mess.test/v1/queues/${queue}/stats`

  const response = await worker.fetch(new Request(url, { headers }), here.vars)

  expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
  const lines = (await response.text()).split('\n')
  expect(lines.at(-1)).toBe('')
  expect(lines.filter((line) => line !== '' && !line.startsWith('# '))).toEqual([
    ...['ready', 'scheduled', 'retrying', 'active', 'dead', 'completed'].map(
      (state) => `messkit_queue_jobs{queue="${queue}",state="${state}"} ${state === 'ready' ? 2 : 0}`,
    ),
    `messkit_queue_paused{queue="${queue}"} 1`,
  ])
})

// ---- refusals

const BODIES: Record<keyof typeof QUEUE_CALLS, object | undefined> = {
  'POST enqueue': { jobs: ['stolen'] },
  'POST claim': {},
  'POST ack': { leases: [[1, 1]] },
  'POST retry': { leases: [[1, 1]], error: 'no' },
  'POST extend': { leases: [[1, 1]] },
  'POST release': { leases: [[1, 1]] },
  'POST snooze': { leases: [[1, 1]], ms: 1 },
  'GET counts': undefined,
  'GET stats': undefined,
  'GET workers': undefined,
  'GET jobs': undefined,
  'POST redrive': {},
  'POST cancel': { ids: [1] },
  'POST promote': { ids: [1] },
  'POST bulk': { action: 'cancel' },
  'POST pause': undefined,
  'POST resume': undefined,
  'POST limit': {},
  'GET schedules': undefined,
  'POST schedule': { id: 'often', plan: { everyMs: 1_000, missed: 'all', overlap: 'allow' }, data: 'stolen' },
  'POST unschedule': { id: 'often' },
  'POST pause-schedule': { id: 'often', paused: true },
  'POST run-schedule': { id: 'often' },
}
const everyCall = Object.entries(BODIES).map(
  ([name, body]) => [name === 'GET jobs' ? `${name}?state=ready` : name, body] as const,
)

test('every call has a row here', () => {
  expect(Object.keys(BODIES)).toEqual(Object.keys(QUEUE_CALLS))
})

test.each(everyCall)(
  '%s is refused to who may not, as where there is nothing, and makes no object',
  async (name, body) => {
    await enqueue('a')
    await here.setPolicy({
      rules:
        'acl allow user:ana all queue\nacl deny user:half all topic\nacl allow user:half grant queue name="http/#"',
    })
    const made = vi.spyOn(here.vars.QUEUES, 'getByName')
    const before = (await listDurableObjectIds(settings.QUEUES)).length

    const there = await call(name, body, { user: 'bo' })
    const untold = [
      await call(name, body, { headers: { authorization: '' } }),
      await call(name, body, { headers: { authorization: 'Bearer x' } }),
      await call(name, body, { headers: { origin: 'https://evil.example' } }),
    ]
    const known = queue
    queue = 'http/none'
    const nowhere = await call(name, body, { user: 'bo' })
    expect(made).not.toHaveBeenCalled()
    expect(await listDurableObjectIds(settings.QUEUES)).toHaveLength(before)
    queue = known
    // Who may come in, and may not do this.
    const half = await call(name, body, { user: 'half' })

    expect(there.status).toBe(403)
    expect(there.body.error.code).toBe('forbidden')
    expect(nowhere).toMatchObject({ status: there.status, body: there.body })
    expect(untold.map(({ body }) => body.error.code)).toEqual(['token_missing', 'token_invalid', 'forbidden_origin'])
    expect(half.body.error.code).toBe('forbidden')
    expect(await counts()).toMatchObject({ ready: 1, active: 0, paused: false })
  },
)

test.each<[string, unknown, number, string]>([
  ['POST enqueue', 'no JSON', 400, 'bad_params'],
  ['POST enqueue', {}, 400, 'bad_params'],
  ['POST enqueue', { jobs: [] }, 400, 'bad_params'],
  ['POST enqueue', { jobs: ['a'], queue: 'vault' }, 400, 'bad_params'],
  ['POST enqueue', { jobs: ['a'], publisher: 'publisher-of-bo' }, 400, 'bad_params'],
  ['POST enqueue', { jobs: ['a'], options: { priority: 99 } }, 400, 'bad_params'],
  ['POST enqueue', { jobs: ['a', 'b'], each: [null] }, 400, 'bad_params'],
  ['POST enqueue', '{"jobs":[1,1e999]}', 400, 'bad_payload'],
  ['POST enqueue', '{"jobs":[1,"\\ud800"]}', 400, 'bad_payload'],
  ['POST enqueue', { jobs: [1, 'x'.repeat(LIMITS.messageBytes)] }, 413, 'message_too_large'],
  ['POST enqueue', { jobs: Array(5).fill('x'.repeat(250_000)) }, 413, 'frame_too_large'],
  ['POST enqueue', { jobs: Array(LIMITS.messagesPerFrame + 1).fill(1) }, 400, 'bad_params'],
  ['POST claim', { count: 0 }, 400, 'bad_params'],
  ['POST claim', { count: LIMITS.workerJobs + 1 }, 400, 'bad_params'],
  ['POST claim', { waitMs: LIMITS.claimWaitMs + 1 }, 400, 'bad_params'],
  ['POST claim', { leaseMs: LIMITS.leaseMs + 1 }, 400, 'bad_params'],
  ['POST claim', { worker: 'a.~b' }, 400, 'bad_params'],
  ['POST ack', { leases: 'all' }, 400, 'bad_params'],
  ['POST ack', { leases: [['1', 1]] }, 400, 'bad_params'],
  ['POST retry', { leases: [[1, 1]], error: 'x'.repeat(LIMITS.jobErrorChars + 1) }, 400, 'bad_params'],
  ['POST snooze', { leases: [[1, 1]] }, 400, 'bad_params'],
  ['GET jobs', undefined, 400, 'bad_params'],
  ['GET jobs?state=held', undefined, 400, 'bad_params'],
  ['GET jobs?state=ready&limit=0', undefined, 400, 'bad_params'],
  ['GET jobs?state=ready&after=1', undefined, 400, 'bad_params'],
  ['GET counts?of=all', undefined, 400, 'bad_params'],
  ['POST cancel', {}, 400, 'bad_params'],
  ['POST cancel', { ids: ['1'] }, 400, 'bad_params'],
  ['POST pause', { paused: false }, 400, 'bad_params'],
  ['POST limit', { concurrency: -1 }, 400, 'bad_params'],
])('%s with a body that is no good: %#', async (name, body, status, code) => {
  const answer = await call(name, body)

  expect([answer.status, answer.body.error.code]).toEqual([status, code])
  expect(await counts()).toMatchObject({ ready: 0, paused: false })
})

test('an error names the field that is no good', async () => {
  const bad = await Promise.all([
    call('POST enqueue', { jobs: [] }),
    call('POST ack', { leases: 'all' }),
    call('POST pause', { paused: false }),
    call('POST claim', { count: 0 }),
  ])

  expect(bad.map(({ body }) => body.error.message.split(':')[0])).toEqual(['jobs', 'leases', 'paused', 'count'])
})

test('a key that is none, a name that is none, and a call that is none', async () => {
  const key = await call('POST enqueue', { jobs: [1] }, { headers: { 'idempotency-key': 'x'.repeat(256) } })
  const none = await call('POST steal', {})
  const wrong = await call('GET enqueue')
  queue = '_system'
  const name = await call('GET counts')

  expect(key.body.error.code).toBe('bad_params')
  expect([none, wrong].map(({ status }) => status)).toEqual([426, 426])
  expect(name.body.error.code).toBe('bad_name')
})

test('a queue may be called like a call', async () => {
  queue = `http/${queues}/claim`
  const link = await here.greetedQueue(queue, 'ana')
  await link.enqueue(['a'])

  expect(await claim()).toMatchObject([{ data: 'a' }])
})

test('who may look at jobs and not into them is shown none of what is in them', async () => {
  await enqueue('secret')
  await here.setPolicy({ rules: 'acl allow user:auditor view queue\nacl allow user:ana all queue' })

  const listed = await call('GET jobs?state=ready', undefined, { user: 'auditor' })

  expect(listed.body).toMatchObject({ jobs: [{ id: 1, data: null }] })
  expect(JSON.stringify(listed)).not.toContain('secret')
})

test('calls are counted as connections while they last', async () => {
  await here.setPolicy({ rules: 'acl allow all connect server limit-connections=1\nacl allow all all all from=all' })
  const waiting = call('POST claim', { waitMs: LIMITS.claimWaitMs }, { user: 'counted' })
  // Another user, whose place is another one.
  await counts()

  const second = await call('GET counts', undefined, { user: 'counted' })
  await enqueue('a')
  await waiting

  expect(second).toMatchObject({ status: 429, body: { error: { code: 'limit_reached', retryAfterMs: 5_000 } } })
  expect(second.headers.get('retry-after')).toBe('5')
  await vi.waitFor(async () => expect((await call('GET counts', undefined, { user: 'counted' })).status).toBe(200), {
    timeout: 20_000,
    interval: 200,
  })
  // What never reached the queue gives its place back, too.
  expect((await call('POST claim', { count: 'many' }, { user: 'counted' })).status).toBe(400)
  await vi.waitFor(async () => expect((await call('GET counts', undefined, { user: 'counted' })).status).toBe(200), {
    timeout: 20_000,
    interval: 200,
  })
})

test('rules with -log record what is done over HTTP, too', async () => {
  await here.setPolicy({
    rules: 'acl allow-log user:ana enqueue queue\nacl allow-log user:ana work queue\nacl allow user:root all all',
  })
  await enqueue('a', 'b')
  const jobs = await claim({ count: 2 })
  await call('POST ack', { leases: leasesOf(jobs) })

  expect((await here.call(`GET /audit/queues/${queue}`)).body.acts).toMatchObject([
    { who: 'ana', what: 'work', outcome: 'allowed', count: 2 },
    { who: 'ana', what: 'work', outcome: 'allowed', count: 1 },
    { who: 'ana', what: 'enqueue', outcome: 'allowed', count: 2 },
  ])
})

// ---- schedules

test('a schedule is made, seen, run by hand once under its key, and brings its jobs when the alarm rings', async () => {
  const plan = { everyMs: 3_600_000, missed: 'last', overlap: 'allow' }
  const made = await call('POST schedule', { id: 'hourly', plan, data: { report: 'sales' } })
  const { nextAt } = made.body as unknown as { nextAt: number }
  const run = () => call('POST run-schedule', { id: 'hourly' }, { headers: { 'idempotency-key': 'by hand 1' } })

  expect([(await run()).body, (await run()).body]).toEqual([{ job: 1 }, { job: 1 }])
  expect((await call('GET schedules')).body).toMatchObject({
    schedules: [{ id: 'hourly', plan, data: '{"report":"sales"}', nextAt, lastJob: 1, jobCount: 1, paused: false }],
  })
  later(3_600_000)
  await runDurableObjectAlarm(stub())
  expect(await claim({ count: 10 })).toMatchObject([
    { id: 1, tick: { schedule: 'hourly' }, data: { report: 'sales' } },
    { id: 2, tick: { schedule: 'hourly', at: nextAt }, data: { report: 'sales' } },
  ])
  expect((await call('POST pause-schedule', { id: 'hourly', paused: true })).body).toEqual({})
  expect((await call('POST unschedule', { id: 'hourly' })).body).toEqual({ removed: true })
  expect((await call('POST run-schedule', { id: 'hourly' })).status).toBe(404)
  expect(await call('POST schedule', { id: 'never', plan: { ...plan, everyMs: 1 }, data: 0 })).toMatchObject({
    status: 422,
    body: { error: { code: 'bad_schedule', message: expect.stringContaining('everyMs') } },
  })
})
