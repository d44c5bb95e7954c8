import * as v from 'valibot'
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { createMess, type Mess, type MessError } from '../../packages/sdk/src/index.ts'
import { createQueue, type Job, type JobReport, type QueueOptions } from '../../packages/sdk/src/queue.ts'

/** Queues as an application sees them: of a client without a server, in its process. */
const clients: Mess[] = []
afterEach(async () => {
  vi.restoreAllMocks()
  await Promise.all(clients.splice(0).map((mess) => mess.close()))
})

function open<I = unknown, O = I>(options: QueueOptions<I, O> = {}) {
  const mess = createMess({ storage: 'memory', tabs: false })
  clients.push(mess)
  return { mess, queue: createQueue<I, O>(mess, 'mail/out', options) }
}

/** Resolves with each job that is handled, in order. */
function collector() {
  const jobs: Job<unknown>[] = []
  const waiting: (() => void)[] = []
  return {
    jobs,
    take: (job: Job<unknown>) => {
      jobs.push(job)
      for (const tell of waiting.splice(0)) tell()
    },
    async reaches(count: number) {
      while (jobs.length < count) await new Promise<void>((resolve) => waiting.push(resolve))
      return jobs
    },
  }
}

const SOON = { type: 'fixed', initialMs: 1, jitter: 0 } as const

describe('a queue', () => {
  it('hands each job to a handler, once, in order', async () => {
    const { queue } = open()
    const { take, reaches } = collector()

    const ids = (await queue.enqueueMany(['a', 'b', 'c'])).map(({ id }) => id)
    const worker = queue.work(take)
    const jobs = await reaches(3)
    await worker.stop()

    expect(jobs.map(({ id, data, attempt }) => [id, data, attempt])).toEqual([
      [ids[0], 'a', 1],
      [ids[1], 'b', 1],
      [ids[2], 'c', 1],
    ])
    expect(await queue.counts()).toMatchObject({ ready: 0, active: 0, dead: 0 })
  })

  it('runs as many handlers at a time as it is told', async () => {
    const { queue } = open()
    let most = 0
    let now = 0
    const { take, reaches } = collector()
    await queue.enqueueMany(Array.from({ length: 40 }, (_, i) => i))

    const worker = queue.work(
      async (job) => {
        most = Math.max(most, ++now)
        await Promise.resolve()
        now--
        take(job)
      },
      { concurrency: 7 },
    )
    await reaches(40)
    await worker.stop()

    expect(most).toBe(7)
  })

  it('gives a quiet worker no other job, and lets others have what it has not begun', async () => {
    const { queue } = open()
    const { take, jobs, reaches } = collector()
    const other = collector()
    const end = Promise.withResolvers<void>()
    await queue.enqueueMany(['a', 'b', 'c'])
    const worker = queue.work((job) => {
      take(job)
      return end.promise
    })
    await reaches(1)

    worker.quiet()
    const second = queue.work(other.take)
    await other.reaches(2)
    end.resolve()
    await vi.waitFor(async () => expect(await queue.counts()).toMatchObject({ ready: 0, active: 0 }))
    await second.stop()
    await queue.enqueue('d')
    expect(jobs).toHaveLength(1)
    worker.resume()

    expect((await reaches(2)).map(({ data }) => data)).toEqual(['a', 'd'])
    await worker.stop()
    worker.resume()
    expect(await queue.enqueue('e').then(() => queue.counts())).toMatchObject({ ready: 1 })
  })

  it('says who works on it, and on what', async () => {
    const { queue } = open()
    const { take, reaches } = collector()
    const end = Promise.withResolvers<void>()
    const job = await queue.enqueue('a')
    const worker = queue.work(
      (one) => {
        take(one)
        return end.promise
      },
      { concurrency: 3, leaseMs: 60_000 },
    )
    await reaches(1)

    const [one, ...others] = await queue.workers()
    worker.quiet()
    const [quiet] = await queue.workers()
    end.resolve()
    await worker.stop()

    expect(one).toMatchObject({ kind: 'node', pid: process.pid, quiet: false, goneSince: undefined, holding: 1 })
    expect(one?.jobs.map(({ id, since, until }) => [id, Number(until) - Number(since)])).toEqual([[job.id, 60_000]])
    expect(quiet).toMatchObject({ name: one?.name, capacity: 0, quiet: true })
    expect(others).toEqual([])
    expect(await queue.workers()).toEqual([])
  })

  it('is the same for every handle of its name in a client, and another one in another client', async () => {
    const { mess, queue } = open()
    await queue.enqueue('a')

    expect(await createQueue(mess, 'mail/out').counts()).toMatchObject({ ready: 1 })
    expect(await createQueue(mess, 'mail/in').counts()).toMatchObject({ ready: 0 })
    expect(await open().queue.counts()).toMatchObject({ ready: 0 })
  })

  it('takes a job that comes while a worker waits', async () => {
    const { queue } = open()
    const { take, reaches } = collector()
    const worker = queue.work(take)

    await queue.enqueue({ to: 'ana' }, { priority: 9 })

    expect((await reaches(1))[0]?.data).toEqual({ to: 'ana' })
    await worker.stop()
  })

  it('refuses what JSON cannot carry, and what does not fit the schema', async () => {
    const { queue } = open({ schema: v.object({ to: v.string() }) })

    await expect(queue.enqueue({ to: 1 } as never)).rejects.toMatchObject({ code: 'schema_mismatch' })
    await expect(open().queue.enqueue(new Map())).rejects.toMatchObject({ code: 'bad_payload' })
    await expect(open().queue.enqueue('x'.repeat(300_000))).rejects.toMatchObject({ code: 'message_too_large' })
    expect(() => createQueue(open().mess, '/')).toThrow(expect.objectContaining({ code: 'bad_name' }))
  })

  it('tries a job again whose handler threw, and sets it aside after the last attempt', async () => {
    const { queue } = open({ attempts: 3, backoff: SOON })
    const attempts: number[] = []
    const errors = collector()
    await queue.enqueue('a')

    const worker = queue.work(
      ({ attempt }) => {
        attempts.push(attempt)
        throw new TypeError('no such address')
      },
      { onError: (_, job) => errors.take(job as never) },
    )
    await errors.reaches(3)
    await worker.stop()

    expect(attempts).toEqual([1, 2, 3])
    const { jobs } = await queue.dead()
    expect(jobs).toMatchObject([{ data: 'a', failures: 3, error: 'TypeError: no such address' }])
  })

  it('drives dead jobs again', async () => {
    const { queue } = open()
    const first = collector()
    await queue.enqueueMany(['a', 'b'])
    const burying = queue.work((job) => {
      first.take(job)
      job.bury('not today')
    })
    await first.reaches(2)
    await burying.stop()
    expect(await queue.counts()).toMatchObject({ dead: 2 })

    const { jobs } = await queue.dead({ limit: 1 })
    expect(await queue.redrive([jobs[0]?.id as number])).toBe(1)
    expect(await queue.redrive()).toBe(1)
    const again = collector()
    const worker = queue.work(again.take)
    await again.reaches(2)
    await worker.stop()

    expect(again.jobs.map(({ data, attempt }) => [data, attempt])).toEqual([
      ['a', 1],
      ['b', 1],
    ])
  })

  it('lets a handler say what else becomes of its job', async () => {
    const { queue } = open({ backoff: SOON })
    const { take, jobs, reaches } = collector()
    await queue.enqueue('a')

    const worker = queue.work((job) => {
      take(job)
      if (jobs.length === 1) job.retry({ delayMs: 0, reason: 'again' })
      if (jobs.length === 2) job.release()
      if (jobs.length === 3) job.release({ delayMs: 1 })
    })
    await reaches(4)
    await worker.stop()

    expect(jobs.map(({ attempt }) => attempt)).toEqual([1, 2, 2, 2])
    expect(await queue.counts()).toMatchObject({ ready: 0, active: 0, scheduled: 0, retrying: 0 })
  })

  it('tells a handler what cannot be said of a job, and harms no other job', async () => {
    const { queue } = open({ attempts: 1 })
    const errors = collector()
    await queue.enqueueMany([0, 1, 2, 'good'])
    const says: ((job: Job<unknown>) => void)[] = [
      (job) => job.retry({ delayMs: 1.5 }),
      (job) => job.release({ delayMs: -1 }),
      (job) => job.extend(Number.NaN),
    ]

    const worker = queue.work((job) => says[job.data as number]?.(job), {
      concurrency: 4,
      onError: ({ cause }) => errors.take(cause as never),
    })
    await errors.reaches(3)
    await worker.stop()

    expect(errors.jobs).toMatchObject(Array(3).fill({ code: 'bad_option' }))
    expect(await queue.counts()).toMatchObject({ ready: 0, active: 0, dead: 3 })
  })

  it('refuses options that no home would take, so that they harm no other job', async () => {
    const { queue } = open()
    const bad = [
      { backoff: { initialMs: 0.5 } },
      { backoff: { maxMs: -1 } },
      { backoff: { factor: 0 } },
      { backoff: { jitter: 2 } },
      { backoff: { type: 'linear' as never } },
      { delayMs: 1.5 },
      { runAt: new Date(Number.NaN) },
    ]

    for (const options of bad) await expect(queue.enqueue('a', options)).rejects.toMatchObject({ code: 'bad_option' })
  })

  it('has room for any number of workers, one after the other', async () => {
    const { queue } = open()
    for (let i = 0; i < 20; i++) await queue.work(() => {}).stop()
    await queue.enqueue('a')
    const { take, reaches } = collector()

    const worker = queue.work(take)

    await reaches(1)
    await worker.stop()
  })

  it('leaves a job that it cannot begin soon to others, as if it had not been taken', async () => {
    const { queue } = open()
    const { take, reaches } = collector()
    const slow = collector()
    const { promise, resolve: finish } = Promise.withResolvers<void>()
    await queue.enqueueMany(['a', 'b'])
    const busy = queue.work(
      (job) => {
        slow.take(job)
        return promise
      },
      { leaseMs: 8_000 },
    )
    await slow.reaches(1)

    const idle = queue.work(take)

    expect((await reaches(1))[0]).toMatchObject({ data: 'b', attempt: 1 })
    finish()
    await Promise.all([busy.stop(), idle.stop()])
    expect(slow.jobs.map(({ data }) => data)).toEqual(['a'])
  })

  it('drives jobs again once that were too old, and they are begun then', async () => {
    const { queue } = open()
    const { take, reaches } = collector()
    const worker = queue.work(take)
    await queue.enqueue('old', { ttlMs: 0 })
    expect(await queue.counts()).toMatchObject({ dead: 1 })

    expect(await queue.redrive()).toBe(1)

    expect(await reaches(1)).toMatchObject([{ data: 'old' }])
    await worker.stop()
  })

  it('delays a job', async () => {
    const { queue } = open()
    await queue.enqueue('later', { delayMs: 60_000 })
    await queue.enqueue('at', { runAt: new Date(Date.now() + 120_000) })

    expect(await queue.counts()).toMatchObject({ ready: 0, scheduled: 2 })
    expect((await queue.list('scheduled')).jobs.map(({ data }) => data)).toEqual(['later', 'at'])
  })

  it('begins a delayed job soon after its time also where the machine has slept, and its timers with it', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date', 'performance'] })
    onTestFinished(() => void vi.useRealTimers())
    const { queue } = open()
    const { take, jobs } = collector()
    queue.work(take)
    await queue.enqueue('a', { delayMs: 8 * 3_600_000 })

    await vi.advanceTimersByTimeAsync(150_000)

    // Clocks on walls go on, and what timers go by does not.
    vi.setSystemTime(Date.now() + 8 * 3_600_000)
    await vi.advanceTimersByTimeAsync(60_000)

    expect(jobs.map(({ data }) => data)).toEqual(['a'])
  })

  it('handles the jobs of a group one after the other', async () => {
    const { queue } = open()
    await queue.enqueueMany(['a1', 'a2', 'a3'], { group: 'a' })
    const { take, reaches } = collector()
    let most = 0
    let now = 0

    const worker = queue.work(
      async (job) => {
        most = Math.max(most, ++now)
        await Promise.resolve()
        now--
        take(job)
      },
      { concurrency: 10 },
    )
    const jobs = await reaches(3)
    await worker.stop()

    expect(jobs.map(({ data }) => data)).toEqual(['a1', 'a2', 'a3'])
    expect(most).toBe(1)
  })

  it('finds jobs, and does something to many of them', async () => {
    const { queue } = open()
    await queue.enqueueMany([{ to: 'ana' }, { to: 'ben' }], { group: 'mail' })
    await queue.enqueue({ to: 'ana' }, { delayMs: 60_000 })
    await queue.enqueue({ to: 'cleo' }, { delayMs: 60_000 })

    expect((await queue.search({ text: 'ana' })).map(({ id, state }) => [id, state])).toEqual([
      [1, 'ready'],
      [3, 'scheduled'],
    ])
    expect(await queue.search({ text: 'ana', limit: 1 })).toHaveLength(1)
    expect((await queue.list('ready', { group: 'mail', limit: 1 })).jobs).toMatchObject([{ id: 1, group: 'mail' }])
    expect(await queue.promote([4])).toBe(1)
    expect(await queue.bulk.promote({ text: 'ana' })).toBe(1)
    expect(await queue.counts()).toMatchObject({ ready: 4, scheduled: 0 })
    expect(await queue.bulk.cancel({ group: 'mail' })).toBe(2)
    expect(await queue.counts()).toMatchObject({ ready: 2 })
  })

  it('clears the dead', async () => {
    const { queue } = open({ attempts: 1 })
    await queue.enqueueMany(['a', 'b'])
    const errors = collector()
    const worker = queue.work(
      () => {
        throw new Error('no')
      },
      { onError: (_, job) => errors.take(job as never) },
    )
    await errors.reaches(2)
    await worker.stop()

    expect(await queue.bulk.redrive({ error: 'yes' })).toBe(0)
    expect(await queue.clear()).toBe(2)
    expect(await queue.counts()).toMatchObject({ dead: 0 })
  })

  it('stores a job once while another one has its key', async () => {
    const { queue } = open()
    const dedupe = { key: 'invoice 7' }

    const first = await queue.enqueue('a', { dedupe })
    const second = await queue.enqueue('b', { dedupe })
    const newer = await queue.enqueue('c', { dedupe: { ...dedupe, mode: 'replace' } })
    await queue.enqueue('d')

    expect([first, second, newer].map(({ id, duplicate }) => [id, duplicate])).toEqual([
      [1, false],
      [1, true],
      [1, true],
    ])
    expect((await queue.list('ready')).jobs.map(({ data }) => data)).toEqual(['c', 'd'])
  })

  it('pauses and goes on', async () => {
    const { queue } = open()
    const { take, jobs, reaches } = collector()
    const worker = queue.work(take)
    await queue.pause()
    await queue.enqueue('a')

    expect(await queue.counts()).toMatchObject({ ready: 1, paused: true })
    expect(jobs).toEqual([])
    await queue.resume()
    await reaches(1)
    await worker.stop()
  })

  it.each([
    { key: '' },
    { key: 'x'.repeat(257) },
    { key: '\ud800' },
    { key: 'a', ttlMs: -1 },
    { key: 'a', maxDelayMs: 0.5 },
  ])('refuses the key %j, and nothing beside it', async (dedupe) => {
    const { queue } = open()
    await expect(queue.enqueue('a', { dedupe })).rejects.toMatchObject({ code: 'bad_option' })
    await expect(queue.enqueue('a', { retain: { ms: 8 * 86_400_000 } })).rejects.toMatchObject({ code: 'bad_option' })
    expect(await queue.enqueue('b')).toMatchObject({ id: 1 })
  })

  it('gives what a handler returned to who enqueued the job', async () => {
    const { queue } = open<{ a: number; b: number }>()
    const early = await queue.enqueue({ a: 3, b: 4 })
    const waiting = early.result()

    const worker = queue.work(({ data: { a, b } }) => ({ sum: a + b }))
    const late = await queue.enqueue({ a: 1, b: 1 })

    expect(await waiting).toEqual({ sum: 7 })
    expect(await late.result()).toEqual({ sum: 2 })
    expect(await queue.job(early.id as number).result()).toEqual({ sum: 7 })
    await worker.stop()
  })

  it('keeps a job that is done as long as it was asked to', async () => {
    const { queue } = open({ retain: { ms: 60_000 } })
    const worker = queue.work(() => [1, 2])
    const job = await queue.enqueue('a')
    await job.result()
    await worker.stop()

    expect(await queue.counts()).toMatchObject({ completed: 1 })
    expect((await queue.list('completed')).jobs).toMatchObject([{ id: job.id, data: 'a', result: [1, 2], log: [] }])
  })

  it('tells who waits for a result why there is none', async () => {
    const { queue } = open()
    const failing = await queue.enqueue('a', { attempts: 1 })
    const expired = await queue.enqueue('b', { ttlMs: 0 })
    const cancelled = await queue.enqueue('c', { delayMs: 60_000 })
    const codes = Promise.all(
      [failing, expired, cancelled, queue.job(99)].map((job) => job.result().catch(({ code }: MessError) => code)),
    )

    const worker = queue.work(
      () => {
        throw new Error('no')
      },
      { onError: () => {} },
    )
    expect(await cancelled.cancel('not needed')).toBe(true)

    expect(await codes).toEqual(['job_dead', 'job_expired', 'job_cancelled', 'job_unknown'])
    expect(await cancelled.cancel()).toBe(false)
    await worker.stop()
  })

  it('lets go of a result by a signal', async () => {
    const { queue } = open()
    const job = await queue.enqueue('a')
    const end = new AbortController()
    const waiting = job.result({ signal: end.signal })

    end.abort(new Error('enough'))

    await expect(waiting).rejects.toThrow('enough')
    await expect(job.result({ signal: end.signal })).rejects.toThrow('enough')
    expect(await queue.counts()).toMatchObject({ ready: 1 })
  })

  it('ends the wait for results when its client is closed', async () => {
    const { mess, queue } = open()
    const job = await queue.enqueue('a')
    const waiting = job.result()
    await queue.counts()

    await mess.close()

    await expect(waiting).rejects.toMatchObject({ code: 'closed' })
  })

  it('sets a job aside whose result cannot be kept, where that was promised', async () => {
    const { queue } = open()
    const worker = queue.work(({ data }) => (data === 'map' ? new Map() : 'x'.repeat(70_000)))
    const retain = { ms: 60_000 }
    const [map, large] = [await queue.enqueue('map', { retain }), await queue.enqueue('large', { retain })]

    await expect(map.result()).rejects.toMatchObject({
      code: 'job_dead',
      message: expect.stringContaining('bad_payload'),
    })
    await expect(large.result()).rejects.toThrow('message_too_large')
    expect(await (await queue.enqueue('map')).result()).toBeUndefined()
    await worker.stop()
  })

  it('relays what a handler reports, in order, until the job is over', async () => {
    const { queue } = open()
    const { promise: watched, resolve: begin } = Promise.withResolvers<void>()
    const job = await queue.enqueue('a')
    const worker = queue.work(async ({ progress, log }) => {
      progress(0)
      log('begun')
      await watched
      progress({ share: 0.5 })
      log('half')
    })
    const reports: JobReport[] = []

    for await (const report of job.progress()) {
      reports.push(report)
      begin()
    }

    expect(reports).toEqual([
      { progress: 0, log: ['begun'] },
      { progress: { share: 0.5 }, log: ['half'] },
    ])
    await worker.stop()
  })

  it('fails an attempt that reports what JSON cannot carry', async () => {
    const { queue } = open({ attempts: 1 })
    const worker = queue.work((job) => job.progress(() => {}), { onError: () => {} })

    await expect((await queue.enqueue('a')).result()).rejects.toThrow('which JSON cannot hold')
    await worker.stop()
  })

  it('gives the next attempt what the one before has kept', async () => {
    const { queue } = open({ backoff: SOON })
    const worker = queue.work(
      async (job) => {
        if (job.state !== undefined) return job.state
        await job.checkpoint({ page: 7 })
        throw new Error('again')
      },
      { onError: () => {} },
    )

    expect(await (await queue.enqueue('a')).result()).toEqual({ page: 7 })
    await worker.stop()
  })

  it('tries no more after an error that is named as final', async () => {
    const { queue } = open({ nonRetryable: ['TypeError'] })
    const worker = queue.work(
      () => {
        throw new TypeError('no such address')
      },
      { onError: () => {} },
    )

    await expect((await queue.enqueue('a')).result()).rejects.toThrow('TypeError: no such address')
    expect((await queue.dead()).jobs).toMatchObject([{ failures: 1 }])
    await worker.stop()
  })

  it.each([
    ['an error of its own', () => ({}), new Error('by the listener')],
    ['something that has no text', () => Object.create(null), undefined],
  ])('goes on where a handler throws and then there is %s', async (_, thrown, byListener) => {
    const complaints = vi.spyOn(console, 'error').mockImplementation(() => {})
    const { queue } = open({ attempts: 1 })
    const { take, reaches } = collector()
    const worker = queue.work(
      (job) => {
        take(job)
        if (job.data === 'a') throw thrown()
      },
      {
        onError: () => {
          if (byListener) throw byListener
        },
      },
    )

    await queue.enqueueMany(['a', 'b'])
    await reaches(2)
    await worker.stop()

    expect(await queue.counts()).toMatchObject({ ready: 0, active: 0, dead: 1 })
    expect(complaints.mock.calls).toEqual(byListener ? [[byListener]] : [])
  })

  it('tells a handler that its job was cancelled', async () => {
    const { queue } = open()
    const { take, reaches } = collector()
    const enqueued = await queue.enqueue('a')
    let reason: unknown
    const worker = queue.work(async (job) => {
      take(job)
      await new Promise((resolve) => job.signal.addEventListener('abort', resolve))
      reason = job.signal.reason
    })
    await reaches(1)

    expect(await enqueued.cancel('not needed')).toBe(true)
    await worker.stop()

    expect(reason).toMatchObject({ code: 'lease_lost', message: 'not needed' })
    expect(await queue.counts()).toMatchObject({ ready: 0, active: 0 })
  })

  it('gives a job to another worker when its handler takes longer than the lease', async () => {
    const { queue } = open()
    const { take, reaches } = collector()
    const lost = collector()
    await queue.enqueue('a')
    const slow = queue.work(
      async (job) => {
        await new Promise((resolve) => job.signal.addEventListener('abort', resolve))
        lost.take(job)
        // Longer than anybody waits: its ack must not count.
        await reaches(1)
      },
      { leaseMs: 20 },
    )
    await lost.reaches(1)
    void slow.stop()

    const worker = queue.work(take)

    const [job] = await reaches(1)
    // The slow one may have been given it again before it was stopped.
    expect([job?.data, job?.attempt]).toEqual(['a', expect.toSatisfy((attempt: number) => attempt > 1)])
    await Promise.all([slow.stop(), worker.stop()])
  })
})

describe('a worker that is stopped', () => {
  it('finishes what runs and gives back what it has not begun', async () => {
    const { queue } = open()
    const { take, jobs, reaches } = collector()
    const { promise, resolve: finish } = Promise.withResolvers<void>()
    await queue.enqueueMany(['a', 'b', 'c'])
    const worker = queue.work(async (job) => {
      take(job)
      await promise
    })
    await reaches(1)

    const stopped = worker.stop()
    expect(worker.running).toBe(1)
    finish()
    await stopped

    expect(jobs.map(({ data }) => data)).toEqual(['a'])
    expect(await queue.counts()).toMatchObject({ ready: 2, active: 0 })
  })

  it('gives back also what runs, after as long as it is told', async () => {
    const { queue } = open()
    const { take, reaches } = collector()
    await queue.enqueue('a')
    const worker = queue.work(async (job) => {
      take(job)
      await new Promise(() => {})
    })
    const [job] = await reaches(1)

    await worker.stop({ waitMs: 1 })

    expect(job?.signal.aborted).toBe(true)
    expect(await queue.counts()).toMatchObject({ ready: 1, active: 0 })
  })

  it('stops with its signal', async () => {
    const { queue } = open()
    const end = new AbortController()
    const { take, reaches } = collector()
    const worker = queue.work(take, { signal: end.signal })
    await queue.enqueue('a')
    await reaches(1)

    end.abort()
    await worker.stop()
    await queue.enqueue('b')

    expect(await queue.counts()).toMatchObject({ ready: 1 })
  })
})

describe('a client', () => {
  it('that is closed enqueues nothing, and says so', async () => {
    const { mess, queue } = open()
    // The first one: its home is still being loaded.
    const waiting = queue.enqueue('a')
    const outcome = expect(waiting).rejects.toMatchObject({ code: 'closed' })

    await mess.close()

    await outcome
    await expect(queue.enqueue('c')).rejects.toMatchObject({ code: 'closed' })
  })

  it.each([{ concurrency: 0 }, { concurrency: 501 }, { leaseMs: 0 }, { leaseMs: 1e9 }])('refuses %j', (options) => {
    expect(() => open().queue.work(() => {}, options)).toThrow(expect.objectContaining({ code: 'bad_option' }))
  })
})
