import { evictDurableObject, listDurableObjectIds, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { LIMITS } from '@messkit/sdk/protocol'
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import type { Env } from '../../packages/edge/src/env.ts'
import worker from '../../packages/edge/src/index.ts'
import { SqliteQueueStore } from '../../packages/edge/src/store/sqlite-queue.ts'
import { Deployment, ISSUER, member } from './deployment.ts'
import { leaseOf } from './queue-link.ts'

// A busy machine is slow, and not wrong.
vi.setConfig({ testTimeout: 60_000 })

const settings = env as unknown as { -readonly [K in keyof Env]: Env[K] }
let queues = 0
let queue = ''
let here: Deployment<Env>

beforeEach(() => {
  queue = `queues/${++queues}`
  here = new Deployment(worker, settings)
})

afterEach(() => {
  vi.restoreAllMocks()
})

const stub = () => settings.QUEUES.getByName(`queue:main:${queue}`)
const greeted = (user = 'ana', claims: object = {}) => here.greetedQueue(queue, user, claims)
const setAccess = async (rules: string, user?: string) => {
  const { version } = (await here.call(`GET /access/queues/${queue}`)).body
  return here.call(`PUT /access/queues/${queue}`, { rules, ifVersion: version }, user)
}

/** From here on it is so many ms later. */
function later(ms: number): void {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + ms })
  onTestFinished(() => void vi.useRealTimers())
}

// ---- jobs

test('a job goes from one client to another, and is done', async () => {
  const [ana, bo] = [await greeted('ana'), await greeted('bo')]

  expect(await ana.enqueue([{ to: 'x@example.com' }, 'two'])).toMatchObject([{ fate: 'stored', count: 2, offset: 1 }])
  await bo.work(10)
  const taken = await bo.gets(2)
  const counted = await ana.counts()
  const stale = await bo.settle({ ack: taken.map(leaseOf) })

  expect(taken).toMatchObject([
    { id: 1, attempt: 1, data: { to: 'x@example.com' } },
    { id: 2, attempt: 1, data: 'two' },
  ])
  expect(counted).toMatchObject({ ready: 0, active: 2 })
  expect(stale).toEqual([])
  expect(await ana.counts()).toMatchObject({ ready: 0, active: 0, dead: 0 })
})

test('a job that was enqueued again is recognised, and costs nothing', async () => {
  const ana = await greeted()
  const frame = { publisher: 'publisher', after: 0, first: 1 }
  await ana.enqueueAs(frame, ['a'])
  const rows = await countRows()

  const again = await ana.enqueueAs(frame, ['a'])

  expect(again).toMatchObject([{ fate: 'duplicate', offset: 1 }])
  expect(rows()).toBe(0)
})

test('the rest of what can be done with a queue: retry, die, look, redrive, cancel, pause, limit', async () => {
  const ana = await greeted()
  await ana.enqueue(['a'], { attempts: 1 })
  await ana.work(1)
  const [first] = await ana.gets(1)
  await ana.settle({ retry: [{ lease: leaseOf(first as never), error: 'no such address' }] })

  expect(await ana.list('dead')).toMatchObject({ jobs: [{ id: 1, error: 'no such address' }], messages: ['a'] })
  expect(await ana.ask('pause', { paused: true })).toEqual({})
  expect(await ana.ask('redrive', { ids: [1] })).toEqual({ redriven: 1, more: false })
  expect(await ana.counts()).toMatchObject({ ready: 1, dead: 0, paused: true })
  expect(await ana.ask('limit', { concurrency: 1 })).toEqual({})
  expect(await ana.ask('cancel', { ids: [1] })).toEqual({ cancelled: 1 })
  expect(await ana.counts()).toMatchObject({ ready: 0 })
})

// ---- sleep

test('sockets outlive a memory that is lost, with what their workers hold and want', async () => {
  const [ana, bo] = [await greeted('ana'), await greeted('bo')]
  await bo.work(2)
  await ana.enqueue(['a', 'b', 'c'])
  const taken = await bo.gets(2)
  const woken = vi.spyOn(SqliteQueueStore.prototype, 'load')

  await evictDurableObject(stub())
  const stale = await bo.settle({ ack: taken.map(leaseOf) })
  const third = (await bo.gets(3)).at(-1)
  await evictDurableObject(stub())
  await ana.enqueue(['d'])
  await bo.gets(4)
  await bo.settle({ ack: [leaseOf(third as never)] })

  expect(woken).toHaveBeenCalledTimes(2)
  expect(stale).toEqual([])
  // Nobody was given a job twice.
  expect(bo.taken.map(({ id }) => id)).toEqual([1, 2, 3, 4])
  expect(await ana.counts()).toMatchObject({ ready: 0, active: 1 })
})

test('an ack that waits for a commit to go with is written and answered before the memory goes', async () => {
  const [ana, bo] = [await greeted('ana'), await greeted('bo')]
  await bo.work(1)
  await ana.enqueue(['a'])
  const taken = await bo.gets(1)
  const said = bo.settle({ ack: taken.map(leaseOf) })
  // Whatever comes behind it on its link does not wait.
  await bo.client.ask('dance', {})

  await evictDurableObject(stub())

  expect(await said).toEqual([])
  expect(await ana.counts()).toMatchObject({ ready: 0, active: 0 })
})

test('an ack that waits while its home fails is said again, and the job is done once', async () => {
  const [ana, bo] = [await greeted('ana'), await greeted('bo')]
  await bo.work(1)
  await ana.enqueue(['a'])
  const taken = await bo.gets(1)
  vi.spyOn(console, 'error').mockImplementation(() => {})
  const broken = vi.spyOn(SqliteQueueStore.prototype, 'commit').mockImplementation(() => {
    throw new Error('the disk is gone')
  })

  // Nobody else writes anything: it is the moment's end that fails.
  void bo.settle({ ack: taken.map(leaseOf) }).catch(() => {})
  expect((await bo.closed).code).toBe(4008)
  broken.mockRestore()

  const [back, cy] = [await greeted('bo'), await greeted('cy')]
  await cy.work(1)
  const holding = taken.map(leaseOf)
  const known = await back.ask('work', { worker: 'worker-1', capacity: 1, leaseMs: 60_000, holding })
  expect(known).toMatchObject({ lost: [] })
  expect(await back.settle({ ack: holding })).toEqual([])
  expect(await back.counts()).toMatchObject({ ready: 0, active: 0 })
  expect([back.taken, cy.taken]).toEqual([[], []])
})

test('a worker whose socket is gone keeps its leases over a lost memory, and comes back to them', async () => {
  const [ana, bo] = [await greeted('ana'), await greeted('bo')]
  await ana.enqueue(['a'])
  await bo.work(1)
  const [first] = await bo.gets(1)
  bo.client.close()
  await bo.closed
  await evictDurableObject(stub())
  const back = await greeted('bo')

  const known = await back.ask('work', {
    worker: 'worker-1',
    capacity: 1,
    leaseMs: 60_000,
    holding: [leaseOf(first as never)],
  })

  expect(known).toMatchObject({ lost: [] })
  expect(await back.settle({ ack: [leaseOf(first as never)] })).toEqual([])
  expect(back.taken).toEqual([])
})

test('a lease whose time is over while the object sleeps is given to another one by the alarm', async () => {
  const [ana, bo, cy] = [await greeted('ana'), await greeted('bo'), await greeted('cy')]
  await ana.enqueue(['a'])
  await bo.work(1, { leaseMs: 5_000 })
  const [first] = await bo.gets(1)
  await bo.work(0)
  await cy.work(1)
  await evictDurableObject(stub())
  later(6_000)

  expect(await runDurableObjectAlarm(stub())).toBe(true)

  expect(await cy.gets(1)).toMatchObject([{ id: 1, attempt: 2 }])
  await bo.client.next(({ method }) => method === 'lost')
  expect(await bo.settle({ ack: [leaseOf(first as never)] })).toEqual([leaseOf(first as never)])
})

test('an alarm that never rang is made good by whatever comes next', async () => {
  const [ana, bo, cy] = [await greeted('ana'), await greeted('bo'), await greeted('cy')]
  await ana.enqueue(['a'])
  await bo.work(1, { leaseMs: 5_000 })
  await bo.gets(1)
  await bo.work(0)
  await cy.work(1)
  later(6_000)

  await ana.client.ask('dance', {})

  expect(await cy.gets(1)).toMatchObject([{ id: 1, attempt: 2 }])
})

test('an alarm that fails loses no job, and the next event does what it would have done', async () => {
  const [ana, bo] = [await greeted('ana'), await greeted('bo')]
  await bo.work(1)
  await ana.enqueue(['later'], { delayMs: 5_000 })
  await evictDurableObject(stub())
  later(6_000)
  vi.spyOn(console, 'error').mockImplementation(() => {})
  const broken = vi.spyOn(SqliteQueueStore.prototype, 'page').mockImplementation(() => {
    throw new Error('the disk is gone')
  })

  await runDurableObjectAlarm(stub()).catch(() => {})
  broken.mockRestore()

  // A home that failed closes its links: whoever comes back finds the job.
  expect((await bo.closed).code).toBe(4008)
  const back = await greeted('bo')
  await back.work(1)
  expect(await back.gets(1)).toMatchObject([{ id: 1, data: 'later' }])
})

test('a job that is due later wakes the object, and one that nobody would take does not', async () => {
  const ana = await greeted()
  await ana.enqueue(['later'], { delayMs: 3_600_000 })
  // Only the end of her token, in ten minutes.
  const before = await alarmAt()
  await ana.work(1)
  await ana.enqueue(['sooner'], { delayMs: 60_000 })
  const after = await alarmAt()

  expect(before - Date.now()).toBeGreaterThan(500_000)
  expect(after - Date.now()).toBeLessThanOrEqual(60_000)
})

const alarmAt = () => runInDurableObject(stub(), async (_, { storage }) => (await storage.getAlarm()) as number)

// ---- cost

test('costs 2.3 rows a job at most from enqueue to ack with leases of 10, and nothing for a pause', async () => {
  const ana = await greeted()
  const count = 500
  const rows = await countRows()

  for (let n = 1; n <= count; n++) await ana.enqueue([n])
  await ana.work(10)
  for (let done = 0; done < count; done += 10)
    await ana.settle({ ack: (await ana.gets(done + 10)).slice(done, done + 10).map(leaseOf) })
  const total = rows()
  await ana.ask('pause', { paused: true })
  const paused = rows() - total

  expect(total / count).toBeLessThanOrEqual(2.3)
  // Not so few that something was not counted.
  expect(total / count).toBeGreaterThan(2)
  // However many jobs wait.
  expect(paused).toBeLessThanOrEqual(1)
})

type Method = (...values: unknown[]) => unknown

/** Counts rows written and alarms set in the queue's object from now on. */
async function countRows(): Promise<() => number> {
  let written = 0
  await runInDurableObject(stub(), (_, { storage }) => {
    const restore = [
      replace(Object.getPrototypeOf(storage.sql), 'exec', (exec) => (...values) => {
        const cursor = exec(...values) as { rowsWritten: number }
        // A statement that writes has run when `exec` returns.
        written += cursor.rowsWritten
        return cursor
      }),
      replace(Object.getPrototypeOf(storage), 'setAlarm', (setAlarm) => (...values) => {
        written++
        return setAlarm(...values)
      }),
    ]
    onTestFinished(() => {
      for (const undo of restore) undo()
    })
  })
  return () => written
}

function replace(prototype: object, name: string, make: (original: Method) => Method): () => void {
  const methods = prototype as Record<string, Method>
  const original = methods[name] as Method
  methods[name] = function (this: unknown, ...values) {
    return make(original.bind(this))(...values)
  }
  return () => {
    methods[name] = original
  }
}

// ---- rights

test('somebody does with a queue what the policy lets them do, and no more', async () => {
  await here.setPolicy({
    rules: [
      'acl allow user:producer enqueue queue name="queues/#"',
      'acl allow user:hand work queue name="queues/#"',
      'acl allow user:auditor view queue name="queues/#"',
      'acl allow user:operator view queue',
      'acl allow user:operator peek queue',
      'acl allow user:operator change queue',
      'acl allow all all topic',
    ].join('\n'),
  })
  const asked = async (user: string) => {
    const link = await greeted(user)
    const done = [
      await link.enqueue(['secret']),
      await link.work(0, { worker: `worker-of-${user}` }),
      await link.counts(),
      await link.list('ready'),
      await link.ask('pause', { paused: false }),
      await link.settle({ ack: [[99, 99]] }),
      await link.ask('redrive'),
      await link.ask('cancel', { ids: [99] }),
      await link.ask('limit', {}),
    ]
    return { done: done.map((one) => one !== 'forbidden'), text: link.client.texts.join('\n') }
  }

  const [producer, hand] = [await asked('producer'), await asked('hand')]
  const [auditor, operator] = [await asked('auditor'), await asked('operator')]

  // Who enqueues may cancel: jobs of their own, here none.
  expect(producer.done).toEqual([true, false, false, false, false, false, false, true, false])
  expect(hand.done).toEqual([false, true, false, false, false, true, false, false, false])
  expect(auditor.done).toEqual([false, false, true, true, false, false, false, false, false])
  expect(operator.done).toEqual([false, false, true, true, true, false, true, true, true])
  // Who may look at jobs need not see what is in them.
  expect(auditor.text).not.toContain('secret')
  expect(operator.text).toContain('secret')
})

test('without a right a link is turned away, as from what is not there, and no object is made', async () => {
  await greeted('ana')
  await here.setPolicy({ rules: 'acl allow user:ana all queue\nacl allow all all topic' })
  const made = vi.spyOn(here.vars.QUEUES, 'getByName')
  const before = (await listDurableObjectIds(settings.QUEUES)).length

  const there = await here.openQueue(queue, 'bo')
  const nowhere = await here.openQueue('queues/none', 'bo')

  expect(await there.closed).toEqual({ code: 4516, reason: 'forbidden' })
  expect(await nowhere.closed).toEqual({ code: 4516, reason: 'forbidden' })
  expect(there.client.texts).toEqual(nowhere.client.texts)
  expect(made).not.toHaveBeenCalled()
  expect(await listDurableObjectIds(settings.QUEUES)).toHaveLength(before)
})

test('a token is narrowed to queues as to topics', async () => {
  const only = [{ on: 'queue', name: 'queues/#', can: ['enqueue'] }]
  const link = await greeted('ana', { messkit: { only } })
  const other = await here.openQueue('elsewhere', 'ana', { messkit: { only } })

  expect(await link.enqueue(['a'])).toMatchObject([{ fate: 'stored' }])
  expect(await link.work(1)).toBe('forbidden')
  expect(await other.closed).toMatchObject({ reason: 'forbidden' })
})

test('a queue has rules of its own, which let in whom the deployment’s do not, and a topic of that name has none of them', async () => {
  await here.setPolicy({ rules: 'acl allow user:owner all queue\nacl allow user:owner all topic' })
  const set = await setAccess('acl allow user:guest work queue')

  const guest = await greeted('guest')
  const inTopic = await here.open(queue, 'guest')
  const other = await here.openQueue(queue, 'other')

  expect(set).toMatchObject({ status: 200, body: { version: 1 } })
  expect(await guest.work(1)).toMatchObject({ lost: [] })
  expect(await guest.enqueue(['a'])).toBe('forbidden')
  expect(await inTopic.closed).toMatchObject({ reason: 'forbidden' })
  expect(await other.closed).toMatchObject({ reason: 'forbidden' })
  expect((await here.call(`GET /access/topics/${queue}`)).body.version).toBe(0)
})

test('whoever manages a queue gives what they hold there, and nothing else', async () => {
  await here.setPolicy({
    rules: 'acl allow user:host grant queue\nacl allow user:host enqueue queue\nacl allow user:host publish topic',
  })

  const more = await setAccess('acl allow user:friend work queue', 'host')
  const all = await setAccess('acl allow all all all', 'host')
  const same = await setAccess('acl allow user:friend enqueue queue', 'host')

  expect(more).toMatchObject({ status: 409, body: { error: { code: 'not_held' } } })
  expect(all).toMatchObject({ status: 409, body: { error: { code: 'not_held' } } })
  expect(same.status).toBe(200)
})

test('explains a queue by its own rules, too', async () => {
  await here.setPolicy({ rules: 'acl allow user:ana work queue' })
  await setAccess('acl deny user:ana work queue\nacl allow user:bo work queue')
  const ask = (user: string) => here.call('POST /explain', { user, action: 'work', on: 'queue', name: queue })

  expect((await ask('ana')).body).toMatchObject({ effect: 'deny', by: 'own', line: 1 })
  expect((await ask('bo')).body).toMatchObject({ effect: 'allow', by: 'own', line: 2 })
})

const ROUNDS = Array.from({ length: 20 }, (_, round) => round)

/** How the right to work is taken away: what is done, and what undoes it. */
const TAKINGS: Record<
  string,
  { take: (round: number) => Promise<unknown>; back: () => Promise<unknown>; claims?: object }
> = {
  'the queue’s own rule': {
    take: () => setAccess('acl deny user:loser work queue'),
    back: () => setAccess(''),
  },
  'the deployment’s policy': {
    take: () => policy('acl deny user:loser work queue\nacl allow all all all'),
    back: () => policy('acl allow all all all'),
  },
  'a group that is revoked': {
    claims: { ...member('hands'), iat: Math.floor(Date.now() / 1000) - 5 },
    take: () => here.call('POST /revocations', { what: 'group', group: 'hands' }),
    back: async () => {},
  },
}

async function policy(rules: string): Promise<unknown> {
  const { version } = (await here.call('GET /policy')).body
  return here.call('PUT /policy', { rules, ifVersion: version })
}

test.each(Object.entries(TAKINGS))(
  'who lost the right to work by %s is given no job after the acknowledgement, under a storm of jobs',
  async (name, { take, back, claims = {} }) => {
    const group = name.startsWith('a group')
    await here.setPolicy({
      rules: group
        ? 'acl allow group:hands work queue\nacl allow user:ana all all\nacl allow user:keeper all all'
        : 'acl allow all all all',
    })
    const [ana, keeper] = [await greeted('ana'), await greeted('keeper')]
    const storm = new AbortController()
    const enqueueing = (async () => {
      while (!storm.signal.aborted) await ana.enqueue(['x', 'y', 'z'])
    })()
    for (const round of group ? [0] : ROUNDS) {
      const loser = await greeted('loser', { ...claims, ...(group && { iss: ISSUER }) })
      await loser.work(1_000)
      await loser.gets(3)

      const done = await take(round)
      const given = loser.taken.length
      await keeper.ask('work', { worker: 'worker-2', capacity: 1_000, leaseMs: 60_000 })
      const before = keeper.taken.length
      await keeper.gets(before + 3)
      await keeper.settle({ ack: keeper.taken.slice(before).map(leaseOf) })
      await keeper.work(0, { worker: 'worker-2' })

      expect(done).toMatchObject({ status: 200 })
      expect(loser.taken).toHaveLength(given)
      expect((await loser.closed).reason).toMatch(/^(access_changed|forbidden)$/)
      await back()
    }
    storm.abort()
    await enqueueing
  },
)

test('who lost the right to enqueue enqueues nothing after the acknowledgement', async () => {
  const [loser, ana] = [await greeted('loser'), await greeted('ana')]
  await loser.enqueue(['before'])

  await setAccess('acl deny user:loser enqueue queue')
  const next = { publisher: 'publisher', after: 1, first: 2 }
  const refused = await loser.enqueueAs(next, ['after'])
  await evictDurableObject(stub())
  const asleep = await loser.enqueueAs(next, ['after'])

  expect([refused, asleep]).toEqual(['forbidden', 'forbidden'])
  expect(await ana.counts()).toMatchObject({ ready: 1 })
})

test('who lost the right to work while the object was out of memory gets no job when it wakes, and another one does', async () => {
  const [ana, loser, keeper] = [await greeted('ana'), await greeted('loser'), await greeted('keeper')]
  await loser.work(10)
  await keeper.work(10)
  await evictDurableObject(stub())

  await setAccess('acl deny user:loser work queue')
  await ana.enqueue(['a', 'b'])

  expect(await keeper.gets(2)).toHaveLength(2)
  expect(loser.taken).toEqual([])
  expect((await loser.closed).reason).toBe('access_changed')
})

test('a kick ends the links of a user, and their jobs go to others after the grace', async () => {
  const [ana, loser, keeper] = [await greeted('ana'), await greeted('kicked'), await greeted('keeper')]
  await ana.enqueue(['a'])
  await loser.work(1)
  await loser.gets(1)
  await keeper.work(1)

  const kicked = await here.call('POST /kicks', { what: 'user', user: 'kicked' })
  later(LIMITS.workerGraceMs + 1)
  await ana.client.ask('dance', {})

  expect(kicked.body).toMatchObject({ links: 1 })
  expect(await loser.closed).toMatchObject({ reason: 'kicked' })
  expect(await keeper.gets(1)).toMatchObject([{ id: 1, attempt: 2 }])
})

test('rules with -log record what was done with a queue, and what was refused', async () => {
  await here.setPolicy({
    rules: [
      'acl deny-log user:ana change queue',
      'acl allow-log user:ana enqueue queue',
      'acl allow-log user:ana work queue',
      'acl allow user:ana view queue',
      'acl allow user:root all all',
    ].join('\n'),
  })
  const ana = await greeted()
  await ana.enqueue(['a', 'b'])
  await ana.work(2)
  await ana.settle({ ack: (await ana.gets(2)).map(leaseOf) })
  await ana.ask('pause', { paused: true })
  await ana.counts()

  const { body } = await here.call(`GET /audit/queues/${queue}`)

  expect(body.acts).toMatchObject([
    { who: 'ana', what: 'change', object: `queue ${queue}`, outcome: 'refused', reason: 'deployment line 1', count: 1 },
    { what: 'work', outcome: 'allowed', count: 2 },
    { what: 'work', outcome: 'allowed', count: 1 },
    { what: 'enqueue', outcome: 'allowed', reason: 'deployment line 2', count: 2 },
  ])
})

test('who may enqueue only so fast, and only so much, is told what was taken and when to come again', async () => {
  await here.setPolicy({
    rules: 'acl allow user:ana enqueue queue limit-rate=3/m limit-bytes=10\nacl allow user:ana view queue',
  })
  const ana = await greeted()
  const frame = { publisher: 'publisher', after: 0, first: 1 }

  const large = await ana.enqueueAs({ ...frame, publisher: 'publisher-large' }, ['x'.repeat(10)])
  const some = await ana.enqueueAs(frame, [1, 2, 3, 4])
  const none = await ana.enqueueAs({ ...frame, after: 3, first: 4 }, [4])
  const repeat = await ana.enqueueAs(frame, [1, 2, 3])
  // It is counted for the user, and not for a connection or a life of the object.
  await evictDurableObject(stub())
  const asleep = await (await greeted()).enqueue([5], {}, 'publisher-other')
  later(21_000)
  const waited = await ana.enqueueAs({ ...frame, after: 3, first: 4 }, [4])

  expect(large).toMatchObject([{ fate: 'refused', code: 'message_too_large' }])
  expect(some).toMatchObject([
    { fate: 'stored', count: 3 },
    { fate: 'unsent', first: 4, count: 1 },
  ])
  expect(ana.client.frames.map(({ result }) => (result as { retryAfterMs?: number })?.retryAfterMs)).toContainEqual(
    expect.any(Number),
  )
  expect([none, asleep]).toEqual(['limit_reached', 'limit_reached'])
  expect(repeat).toMatchObject([{ fate: 'duplicate', count: 3 }])
  expect(waited).toMatchObject([{ fate: 'stored' }])
  expect(await ana.counts()).toMatchObject({ ready: 4 })
})

test('connections to queues are counted with those to topics', async () => {
  await here.setPolicy({ rules: 'acl allow all connect server limit-connections=2\nacl allow all all all from=all' })
  const [first, second] = [await greeted(), await here.greeted(queue, 'ana')]

  const third = await here.openQueue(queue, 'ana')
  expect(await third.closed).toMatchObject({ reason: 'limit_reached' })
  first.client.close()
  await first.closed

  await vi.waitFor(async () => expect(await (await greeted()).counts()).toMatchObject({ ready: 0 }), {
    timeout: 20_000,
  })
  expect(second.frames).toHaveLength(1)
})
