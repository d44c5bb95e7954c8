import { createMess, type Mess, type MessError, type MessOptions, type OutboxEntry } from '@messkit/sdk'
import { createQueue, type Job, type Queue, queueNames, work } from '@messkit/sdk/queue'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { runProxy, type TestProxy } from '../support/proxy.ts'
import { makeToken, runServer, type TestServer } from '../support/server.ts'

/** Queues of a client with a server, as an application sees them: on real workerd, which dies now and then. */

let server: TestServer
beforeAll(async () => {
  server = await runServer({
    ADMINS: 'root',
    POLICY: [
      'acl allow user:ana all all',
      'acl allow user:root all all',
      'acl allow user:producer enqueue queue',
      'acl allow user:clerk enqueue queue',
      'acl allow user:clerk work queue',
    ].join('\n'),
  })
})
afterAll(() => server.end())

let queues = 0
const newName = (): string => `mail/${++queues}`
const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i)

describe('a queue on a server', () => {
  test('hands each job to a handler, of whatever client, once, in order', async () => {
    const name = newName()
    const jobs = await createQueue<string>(open(), name).enqueueMany(['a', 'b', 'c'])

    const { seen, reaches, worker } = working(createQueue<string>(open(), name))
    await reaches(3)
    await worker.stop()

    expect(seen.map(({ id, data, attempt }) => [id, data, attempt])).toEqual(
      ['a', 'b', 'c'].map((data, i) => [jobs[i]?.id, data, 1]),
    )
    expect(await createQueue(open(), name).counts()).toMatchObject({ ready: 0, active: 0, dead: 0 })
  })

  test('takes jobs with options, lists them, and is managed from anywhere', async () => {
    const queue = createQueue<string>(open(), newName())
    await queue.enqueue('later', { delayMs: 3_600_000 })
    await queue.enqueueMany(['low', 'low, too'], { priority: 0 })
    await queue.enqueue('high', { priority: 9 })
    await queue.pause()

    expect(await queue.counts()).toMatchObject({ ready: 3, scheduled: 1, paused: true })
    expect(await all(queue)).toEqual(['high', 'low', 'low, too'])
    const [later] = (await queue.list('scheduled')).jobs
    expect(await queue.cancel([later?.id as number])).toBe(1)
    await queue.resume()
    const { seen, reaches, worker } = working(queue)
    await reaches(3)
    await worker.stop()
    expect(seen.map(({ data }) => data)).toEqual(['high', 'low', 'low, too'])
  })

  test('refuses a job of which too much is asked, and not those that were enqueued with it', async () => {
    const queue = createQueue<string>(open(), newName())

    const jobs = [
      queue.enqueue('before'),
      queue.enqueue('wrong', { nonRetryable: ['x'.repeat(65)] }),
      queue.enqueue('after'),
    ]

    await expect(jobs[1]).rejects.toMatchObject({ code: 'bad_params' })
    await Promise.all([jobs[0], jobs[2]])
    expect(await all(queue)).toEqual(['before', 'after'])
  })

  test('finds as many jobs as somebody wants, page by page', async () => {
    const queue = createQueue<number>(open(), newName())
    await queue.enqueueMany(numbers(2_500))

    const found = await queue.search({ limit: 2_400 })

    expect(found.map(({ data }) => data)).toEqual(numbers(2_400))
  })

  test('counts among the connections of its client, and lets go of its own when nobody needs it', async () => {
    const proxy = await proxied()
    const mess = open({ url: proxy.url })
    expect(mess.status.connection).toBe('offline')

    await createQueue(mess, newName()).enqueue('a')

    expect(mess.status).toMatchObject({ connection: 'online', unsent: 0 })
    await eventually(() => expect(proxy.open).toBe(0))
    expect(mess.status.connection).toBe('offline')
  })
})

describe('a worker on patterns', () => {
  test('finds queues that others have made, and those that they make later', async () => {
    const at = newName().replace('/', '')
    const producer = open()
    for (const name of ['mail', 'low']) await createQueue<string>(producer, `${at}/${name}`).enqueue(name)
    const begun: string[] = []
    const worker = work(open(), [`${at}/*`, `!${at}/low`], (_, queue) => void begun.push(queue), { findMs: 20 })
    await eventually(() => expect(begun).toEqual([`${at}/mail`]))

    await createQueue<string>(producer, `${at}/news`).enqueue('later')

    await eventually(() => expect(begun).toEqual([`${at}/mail`, `${at}/news`]))
    await worker.stop()
    expect((await queueNames(producer)).filter((name) => name.startsWith(at))).toEqual(
      ['low', 'mail', 'news'].map((name) => `${at}/${name}`),
    )
  })

  test('finds nothing that its user may not work on, and says nothing of it', async () => {
    const at = newName().replace('/', '')
    await createQueue<string>(open(), `${at}/vault`).enqueue('gold')
    const errors: MessError[] = []
    const stranger = open({ token: () => makeToken({ sub: 'producer' }) })
    stranger.on('error', (error) => errors.push(error))
    const worker = work(stranger, [`${at}/*`], () => {}, { findMs: 20 })

    expect(await queueNames(stranger)).toEqual([])
    await worker.stop()
    expect(errors).toEqual([])
  })

  test('goes on finding them after its server has died', async () => {
    const own = await ownServer()
    const producer = open({ url: own.url })
    await createQueue<number>(producer, 'first').enqueue(1)
    const begun: string[] = []
    const worker = work(open({ url: own.url }), ['*'], (_, queue) => void begun.push(queue), { findMs: 20 })
    await eventually(() => expect(begun).toEqual(['first']))

    await own.kill()
    await own.restart()
    await createQueue<number>(producer, 'second').enqueue(2)

    await eventually(() => expect(begun).toEqual(['first', 'second']))
    await worker.stop()
  })
})

describe('without a network', () => {
  test('jobs wait in the outbox in their order, and are stored once each', async () => {
    const { proxy, mess, queue } = await behindProxy()
    proxy.refusing = true
    const waiting = [queue.enqueueMany(numbers(2_500)), queue.enqueue(2_500, { priority: 9 })]

    expect(await waiting[1]?.stored).toEqual({ durability: 'memory' })
    expect(mess.status.unsent).toBe(2_501)
    const [first] = await mess.outbox.list()
    expect(first).toMatchObject({ topic: `../queues/${queue.name}`, state: 'waiting' })
    proxy.refusing = false

    await Promise.all(waiting)
    expect(mess.status.unsent).toBe(0)
    expect(await all(queue)).toEqual([2_500, ...numbers(2_500)])
  })

  test('a delay counts from when the job was enqueued, and not from when it arrives', async () => {
    const { proxy, queue } = await behindProxy()
    proxy.refusing = true
    const enqueuedAt = Date.now()
    const job = queue.enqueue(1, { delayMs: 60_000, ttlMs: 3_600_000 })
    await eventually(() => expect(Date.now()).toBeGreaterThan(enqueuedAt + 1_000))
    proxy.refusing = false
    await job

    const [listed] = (await queue.list('scheduled')).jobs
    // By the server's clock, which is this one.
    const dueAt = Number(listed?.dueAt)
    expect(dueAt).toBeLessThan(Number(listed?.enqueuedAt) + 60_000)
    expect(dueAt - enqueuedAt).toBeGreaterThanOrEqual(60_000)
  })

  test('what is enqueued is bounded, and said so before anything is taken', async () => {
    const { proxy, mess, queue } = await behindProxy()
    proxy.refusing = true
    queue.enqueueMany(numbers(99_999)).catch(() => {})

    await expect(queue.enqueueMany([1, 2])).rejects.toMatchObject({ code: 'outbox_full' })

    expect(mess.status.unsent).toBe(99_999)
  })

  test('a client that is closed says so to whoever waits', async () => {
    const { proxy, mess, queue } = await behindProxy()
    proxy.refusing = true
    const job = queue.enqueue(1)
    const counts = queue.counts()
    const outcomes = Promise.allSettled([job, counts])

    expect(await mess.close()).toEqual({ unsent: 1 })

    const closed = { status: 'rejected', reason: { code: 'closed' } }
    expect(await outcomes).toMatchObject([closed, closed])
    await expect(queue.counts()).rejects.toMatchObject({ code: 'closed' })
  })

  test('connections that break in the middle of a frame, again and again, double nothing', {
    timeout: 60_000,
  }, async () => {
    const { proxy, queue } = await behindProxy()
    let enqueued = 0
    for (let round = 0; round < 20; round++) {
      const batch = queue.enqueueMany(numbers(50).map((i) => enqueued + i))
      enqueued += 50
      proxy.up.cutAfter = 200 + round * 37
      if (round % 2) proxy.down.cutAfter = 150 + round * 11
      await batch
    }

    expect(await all(queue)).toEqual(numbers(enqueued))
  })
})

describe('a server that is killed', () => {
  test('between enqueueing and working has every acked job, and those of clients that live through it once', {
    timeout: 120_000,
  }, async () => {
    const own = await ownServer()
    const mess = open({ url: own.url })
    const queue = createQueue<number>(mess, 'mail')
    await queue.enqueueMany(numbers(300))
    const rest = queue.enqueueMany(numbers(300).map((i) => i + 300))
    await own.kill()
    const offline = queue.enqueueMany(numbers(100).map((i) => i + 600))
    await own.restart()

    const ids = [...(await rest), ...(await offline)].map(({ id }) => id)

    expect(new Set(ids).size).toBe(400)
    expect(await all(queue)).toEqual(numbers(700))
  })

  test('while jobs are worked on gives none to another that is held, and takes what was done meanwhile', {
    timeout: 120_000,
  }, async () => {
    const own = await ownServer()
    const queue = createQueue<number>(open({ url: own.url }), 'mail')
    await queue.enqueueMany(numbers(40))
    const { promise: back, resolve: goOn } = Promise.withResolvers<void>()
    const { seen, reaches, worker } = working(queue, { concurrency: 10, until: back })
    const other = working(createQueue<number>(open({ url: own.url }), 'mail'), { concurrency: 10 })
    await reaches(10)
    await other.reaches(20)

    for (let kills = 0; kills < 3; kills++) {
      await own.kill()
      if (kills === 1) goOn()
      await own.restart()
    }

    await eventually(async () => expect(await queue.counts()).toMatchObject({ ready: 0, active: 0, dead: 0 }))
    await Promise.all([worker.stop(), other.worker.stop()])
    const handled = [...seen, ...other.seen].map(({ data }) => data)
    expect(new Set(handled)).toEqual(new Set(numbers(40)))
    // Nobody lost a lease, for both were back before their graces had passed; so nothing was done twice.
    expect([...seen, ...other.seen].every(({ attempt }) => attempt === 1)).toBe(true)
    expect(handled).toHaveLength(40)
  })
})

describe('a worker', () => {
  test('whose connection breaks goes on, and what it did is acked on the next one', async () => {
    const { proxy, queue } = await behindProxy()
    const { promise: cut, resolve: goOn } = Promise.withResolvers<void>()
    await queue.enqueueMany(numbers(10))
    const { seen, reaches, worker } = working(queue, { concurrency: 5, until: cut })
    await reaches(5)

    proxy.refusing = true
    proxy.cut('reset')
    goOn()
    // Those that it holds ready are done meanwhile, too.
    await reaches(10)
    proxy.refusing = false

    await eventually(async () => expect(await queue.counts()).toMatchObject({ ready: 0, active: 0 }))
    await worker.stop()
    expect(seen.map(({ data }) => data)).toEqual(numbers(10))
  })

  test('whose handlers all fail at once, with much to say, says so within what a frame may have', async () => {
    const { proxy, queue } = await behindProxy()
    await queue.enqueueMany(numbers(500), { attempts: 1 })
    const failed = Promise.withResolvers<void>()
    const { worker, reaches } = working(queue, { concurrency: 500, until: failed.promise })
    await reaches(500)

    failed.reject(new Error('€'.repeat(1_000)))
    await worker.stop()

    expect(await queue.counts()).toMatchObject({ ready: 0, active: 0, dead: 500 })
    expect(proxy.count).toBe(1)
  })

  test('that lost its connection for too long is told which jobs are not its any more', {
    timeout: 60_000,
  }, async () => {
    const { proxy, queue } = await behindProxy()
    await queue.enqueue(1)
    const gone = working(queue, { until: new Promise(() => {}) })
    await gone.reaches(1)
    proxy.refusing = true
    proxy.cut('reset')

    const other = working(createQueue<number>(open(), queue.name))
    await other.reaches(1)
    proxy.refusing = false

    const [job] = gone.seen
    await eventually(() => expect(job?.signal.reason).toMatchObject({ code: 'lease_lost' }))
    expect(other.seen).toMatchObject([{ data: 1, attempt: 2 }])
    await Promise.all([gone.worker.stop({ waitMs: 0 }), other.worker.stop()])
  })

  test('ends with its client: what it has not begun goes back, and handlers get the time that close() gives', async () => {
    const mess = open()
    const queue = createQueue<number>(mess, newName())
    await queue.enqueueMany(numbers(4))
    const { promise: asked, resolve: finish } = Promise.withResolvers<void>()
    const { seen, reaches } = working(queue, { concurrency: 2, until: asked })
    await reaches(2)

    const closed = mess.close({ waitMs: 60_000 })
    const watching = createQueue<number>(open(), queue.name)
    await eventually(async () => expect(await watching.counts()).toMatchObject({ ready: 2, active: 2 }))
    finish()
    await closed

    expect(seen).toHaveLength(2)
    expect(await watching.counts()).toMatchObject({ ready: 2, active: 0 })
    expect((await watching.list('ready')).jobs).toMatchObject([{ losses: 0 }, { losses: 0 }])
  })

  test('of a client that is closed without waiting gives back all it has, at once', async () => {
    const mess = open()
    const queue = createQueue<number>(mess, newName())
    await queue.enqueueMany(numbers(4))
    const { seen, reaches } = working(queue, { concurrency: 2, until: new Promise(() => {}) })
    await reaches(2)

    await mess.close()

    expect(seen.map(({ signal }) => signal.aborted)).toEqual([true, true])
    const watching = createQueue<number>(open(), queue.name)
    await eventually(async () => expect(await watching.counts()).toMatchObject({ ready: 4, active: 0 }))
    expect((await watching.list('ready')).jobs.every(({ losses }) => losses === 0)).toBe(true)
  })
})

describe('a token', () => {
  test('is renewed on the live connection, and a worker notices nothing', { timeout: 40_000 }, async () => {
    const proxy = await proxied()
    const asked: string[] = []
    const mess = open({
      url: proxy.url,
      token: ({ why }) => {
        asked.push(why)
        return makeToken({ exp: Math.floor(Date.now() / 1000) + 3 })
      },
    })
    const queue = createQueue<number>(mess, newName())
    const { seen, worker } = working(queue)
    const until = Date.now() + 5_000
    let count = 0
    await eventually(async () => {
      await queue.enqueue(count++)
      expect(Date.now()).toBeGreaterThan(until)
    })

    await eventually(() => expect(seen).toHaveLength(count))
    await worker.stop()
    expect(seen.every(({ attempt }) => attempt === 1)).toBe(true)
    expect(asked.length).toBeGreaterThan(1)
    expect(asked).toEqual(['first', ...asked.slice(1).map(() => 'expiring')])
    expect(proxy.count).toBe(1)
  })

  test('that is refused is a state; everything is kept, and sent with the next good one', {
    timeout: 90_000,
  }, async () => {
    let good = false
    const errors: MessError[] = []
    const mess = open({ token: () => makeToken(good ? {} : { exp: 1 }) })
    mess.on('error', (error) => errors.push(error))
    const name = newName()
    const queue = createQueue<number>(mess, name)
    const jobs = queue.enqueueMany([1, 2])
    const { seen, reaches, worker } = working(queue)

    await eventually(() => expect(mess.status).toMatchObject({ connection: 'auth-needed', unsent: 2 }))
    expect(errors).toMatchObject([{ code: 'token_expired', message: expect.stringContaining(name) }])
    good = true
    // Another queue asks, and is given a token that is good for all.
    await createQueue(mess, newName()).enqueue(3)

    await jobs
    await reaches(2)
    await worker.stop()
    expect(seen.map(({ data }) => data)).toEqual([1, 2])
  })
})

describe('rights', () => {
  test('to enqueue are none to work or to look: it is said, and enqueueing goes on', async () => {
    const errors: MessError[] = []
    const mess = open({ token: () => makeToken({ sub: 'producer' }) })
    mess.on('error', (error) => errors.push(error))
    const queue = createQueue<number>(mess, newName())
    const { seen, worker } = working(queue)

    await eventually(() => expect(errors).toMatchObject([{ code: 'forbidden', retryable: false }]))
    await expect(queue.counts()).rejects.toMatchObject({ code: 'forbidden' })
    expect(await queue.enqueue(1)).toMatchObject({ duplicate: false })

    await worker.stop()
    expect(seen).toEqual([])
  })

  test('that are missing when jobs arrive set them aside, and hold up nothing behind them', async () => {
    const { proxy, mess, queue } = await behindProxy({ sub: 'clerk' })
    await queue.enqueue(0)
    proxy.refusing = true
    proxy.cut('reset')
    const refused: OutboxEntry[] = []
    mess.on('refused', (entry) => refused.push(entry))
    const job = queue.enqueue(1)
    await setAccess(queue.name, 'acl deny user:clerk enqueue queue')
    proxy.refusing = false

    await expect(job).rejects.toMatchObject({ code: 'forbidden' })
    expect(refused).toMatchObject([{ topic: `../queues/${queue.name}`, state: 'refused' }])
    await setAccess(queue.name, '')
    expect(await queue.enqueue(2)).toMatchObject({ duplicate: false })
    await mess.outbox.retry((refused[0] as OutboxEntry).id)
    expect(mess.status).toMatchObject({ unsent: 0, refused: 0 })
    expect(await all(createQueue<number>(open(), queue.name))).toEqual([0, 2, 1])
  })

  test('to work that are taken away end the worker’s jobs, and given back they bring it others', async () => {
    const name = newName()
    await setAccess(name, 'acl allow user:hand work queue')
    const mess = open({ token: () => makeToken({ sub: 'hand' }) })
    const { seen, reaches, worker } = working(createQueue<number>(mess, name))
    const queue = createQueue<number>(open(), name)
    await queue.enqueue(1)
    await reaches(1)

    await setAccess(name, 'acl deny user:hand work queue\nacl allow user:hand enqueue queue')
    await queue.enqueue(2)
    expect(await queue.counts()).toMatchObject({ ready: 1 })
    await setAccess(name, 'acl allow user:hand work queue')
    // Whoever may not work is not told when they may: any new link asks.
    await mess.close()
    const again = working(createQueue<number>(open({ token: () => makeToken({ sub: 'hand' }) }), name))
    await again.reaches(1)

    await Promise.all([worker.stop(), again.worker.stop()])
    expect([...seen, ...again.seen].map(({ data }) => data)).toEqual([1, 2])
  })
})

// ---- helpers

describe('what becomes of a job', () => {
  test('is told to who enqueued it, across links that break', async () => {
    const { proxy, queue } = await behindProxy()
    const job = await queue.enqueue(1)
    const result = job.result()
    const report = (async () => {
      for await (const one of job.progress()) return one
      return undefined
    })()
    await queue.counts()
    proxy.cut('reset')

    const worker = createQueue<number>(open(), queue.name).work(async ({ progress }) => {
      progress(0.5)
      await report
      return { sum: 7 }
    })

    expect(await report).toEqual({ progress: 0.5, log: [] })
    proxy.cut('reset')
    expect(await result).toEqual({ sum: 7 })
    await worker.stop()
  })

  test('outlives the server where it is retained, and else is said not to be known', async () => {
    const own = await ownServer()
    const queue = createQueue<number>(open({ url: own.url }), newName())
    const [kept, forgotten] = [await queue.enqueue(1, { retain: { ms: 60_000 } }), await queue.enqueue(2)]
    const worker = queue.work(({ data, checkpoint }) => checkpoint(data).then(() => data))
    expect(await Promise.all([kept.result(), forgotten.result()])).toEqual([1, 2])
    await worker.stop()

    await own.kill()
    await own.restart()

    expect(await kept.result()).toBe(1)
    expect(await queue.job(kept.id as number).result()).toBe(1)
    await expect(forgotten.result()).rejects.toMatchObject({ code: 'job_unknown' })
  })

  test('is for whoever may enqueue to know, and to end, of their own jobs alone', async () => {
    const name = newName()
    const producer = createQueue<number>(open({ token: () => makeToken({ sub: 'producer' }) }), name)
    const other = createQueue<number>(open({ token: () => makeToken({ sub: 'clerk' }) }), name)
    const job = await producer.enqueue(1)

    await expect(other.job(job.id as number).result()).rejects.toMatchObject({ code: 'job_unknown' })
    expect(await other.cancel([job.id as number])).toBe(0)
    expect(await job.cancel('not needed')).toBe(true)
    await expect(job.result()).rejects.toMatchObject({
      code: 'job_cancelled',
      message: expect.stringContaining('not needed'),
    })
  })

  test('a key holds for jobs that were enqueued without a network, too', async () => {
    const { proxy, mess, queue } = await behindProxy()
    proxy.refusing = true
    const drop = { dedupe: { key: 'a' } }
    const waiting = [1, 2, 3].flatMap((n) => [queue.enqueue(n, drop), queue.enqueue(10 * n)])
    proxy.refusing = false

    const jobs = await Promise.all(waiting)
    const newer = await queue.enqueue(4, { dedupe: { key: 'a', mode: 'replace' } })
    await queue.enqueue(40)

    expect(jobs.map(({ id, duplicate }) => [id, duplicate])).toEqual([
      [1, false],
      [2, false],
      [1, true],
      [3, false],
      [1, true],
      [4, false],
    ])
    expect([newer.id, newer.duplicate]).toEqual([1, true])
    expect(await all(queue)).toEqual([4, 10, 20, 30, 40])
    expect(mess.status).toMatchObject({ unsent: 0, refused: 0 })
  })

  test('a key is held to over a server that dies, and nothing is taken for missing', async () => {
    const own = await ownServer()
    const queue = createQueue<number>(open({ url: own.url }), newName())
    const drop = { dedupe: { key: 'a' } }
    await queue.enqueue(1, drop)
    const id = (await queue.enqueue(2, drop)).id

    await own.kill()
    await own.restart()

    expect(await queue.enqueue(3, drop)).toMatchObject({ id, duplicate: true })
    expect(await queue.enqueue(4)).toMatchObject({ duplicate: false })
    expect(await all(queue)).toEqual([1, 4])
  })
})

function open(options: MessOptions = {}): Mess {
  const mess = createMess({ url: server.url, token: () => makeToken(), reconnect: { minMs: 1, maxMs: 20 }, ...options })
  mess.on('error', () => {}) // or the console is told of those that are meant to happen
  onTestFinished(async () => void (await mess.close()))
  return mess
}

async function ownServer(): Promise<TestServer> {
  const own = await runServer()
  onTestFinished(() => own.end())
  return own
}

async function proxied(): Promise<TestProxy> {
  const proxy = await runProxy(server.port)
  onTestFinished(() => proxy.end())
  return proxy
}

async function behindProxy({ sub = 'ana' } = {}): Promise<{ proxy: TestProxy; mess: Mess; queue: Queue<number> }> {
  const proxy = await proxied()
  const mess = open({ url: proxy.url, token: () => makeToken({ sub }) })
  return { proxy, mess, queue: createQueue<number>(mess, newName()) }
}

interface Watched<T> {
  readonly worker: ReturnType<Queue<T>['work']>
  /** Jobs whose handlers began. */
  readonly seen: Job<T>[]
  reaches(count: number): Promise<unknown>
}

/** @param until what handlers wait for */
function working<T>(
  queue: Queue<T>,
  { concurrency = 1, until }: { concurrency?: number; until?: Promise<void> } = {},
): Watched<T> {
  const seen: Job<T>[] = []
  const worker = queue.work(
    (job) => {
      seen.push(job)
      return until
    },
    { concurrency },
  )
  return { worker, seen, reaches: (count) => eventually(() => expect(seen.length).toBeGreaterThanOrEqual(count)) }
}

/** What waits, in its order, page by page. */
async function all<T>(queue: Queue<T>): Promise<unknown[]> {
  const found: unknown[] = []
  for (let page = await queue.list('ready', { limit: 1_000 }); ; ) {
    found.push(...page.jobs.map(({ data }) => data))
    if (!page.next) return found
    page = await queue.list('ready', { limit: 1_000, after: page.next })
  }
}

async function setAccess(queue: string, rules: string): Promise<void> {
  const headers = { authorization: `Bearer ${await makeToken({ sub: 'root' })}` }
  const address = `${server.url}/v1/admin/access/queues/${queue}`
  const { version } = (await (await fetch(address, { headers })).json()) as { version: number }
  const body = JSON.stringify({ rules, ifVersion: version })
  const done = await fetch(address, { method: 'PUT', headers, body })
  if (!done.ok) throw new Error(await done.text())
}
