import { createMess, type Mess } from '@messkit/sdk'
import { createQueue, queueNames, work } from '@messkit/sdk/queue'
import { expect, onTestFinished, test, vi } from 'vitest'

/**
 * What people who come from Resque look for, under the names it has there. Signals are in signals.test.ts, who may what and
 * counts for monitoring in queue-http.workerd.ts.
 */

function open(): Mess {
  const mess = createMess({ storage: 'memory', tabs: false })
  mess.on('error', () => {}) // handlers that are meant to fail
  onTestFinished(async () => void (await mess.close()))
  return mess
}

const ONCE = { attempts: 1 }
const HOUR_MS = 3_600_000

test('named queues on the fly, and namespaces', async () => {
  const mess = open()

  await createQueue(mess, 'shop/mail').enqueue(1)
  await createQueue(mess, 'blog/mail').enqueue(2)

  expect(await queueNames(mess)).toEqual(['blog/mail', 'shop/mail'])
  expect((await createQueue(mess, 'shop/mail').list('ready')).jobs.map(({ data }) => data)).toEqual([1])
})

test('a list of queues as priority, with globs and negation', async () => {
  const mess = open()
  for (const name of ['low', 'other', 'critical']) await createQueue(mess, name).enqueueMany([1, 2])
  const begun: string[] = []

  const worker = work(mess, ['critical', '*', '!low'], (_, queue) => void begun.push(queue))
  await vi.waitFor(() => expect(begun).toHaveLength(4))
  await worker.stop()

  expect(new Set(begun)).toEqual(new Set(['critical', 'other']))
  expect(await createQueue(mess, 'low').counts()).toMatchObject({ ready: 2 })
})

test('JSON payloads', async () => {
  const queue = createQueue<unknown>(open(), 'mail')
  const payload = { to: ['ana'], nested: { count: 1, none: null }, text: 'ü\n"' }
  const got: unknown[] = []

  await queue.enqueue(payload)
  const worker = queue.work(({ data }) => void got.push(data))
  await vi.waitFor(() => expect(got).toEqual([payload]))
  await worker.stop()
})

test('a list of failed jobs, with retry and clear', async () => {
  const queue = createQueue<string>(open(), 'mail')
  await queue.enqueueMany(['a', 'b'], ONCE)
  const worker = queue.work(() => Promise.reject(new TypeError('no such address')))
  await vi.waitFor(async () => expect(await queue.counts()).toMatchObject({ dead: 2 }))
  await worker.stop()

  const [first, second] = (await queue.dead()).jobs
  expect(first).toMatchObject({ data: 'a', error: 'TypeError: no such address', failures: 1 })
  expect(await queue.redrive([first?.id as number])).toBe(1)
  expect(await queue.clear()).toBe(1)

  expect(second?.data).toBe('b')
  expect(await queue.counts()).toMatchObject({ ready: 1, dead: 0 })
})

test('pausing all workers, and one', async () => {
  const queue = createQueue<number>(open(), 'mail')
  const done: number[] = []
  const worker = queue.work(({ data }) => void done.push(data))

  await queue.pause()
  await queue.enqueue(1)
  expect(await queue.counts()).toMatchObject({ ready: 1, paused: true })
  await queue.resume()
  await vi.waitFor(() => expect(done).toEqual([1]))

  worker.quiet()
  await queue.enqueue(2)
  expect(await queue.workers()).toMatchObject([{ quiet: true, holding: 0 }])
  expect(await queue.counts()).toMatchObject({ ready: 1, paused: false })
  worker.resume()
  await vi.waitFor(() => expect(done).toEqual([1, 2]))
  await worker.stop()
})

test('workers, and what each works on', async () => {
  const queue = createQueue<number>(open(), 'mail')
  const end = Promise.withResolvers<void>()
  const { id } = await queue.enqueue(1)
  const worker = queue.work(() => end.promise)

  await vi.waitFor(async () => expect(await queue.workers()).toMatchObject([{ pid: process.pid, jobs: [{ id }] }]))
  end.resolve()
  await worker.stop()
})

test('schedules with a description and parameters, and "queue now"', async () => {
  const queue = createQueue<{ report: string }>(open(), 'reports')
  await queue.schedules.upsert('nightly', { cron: '0 3 * * *', description: 'Sales' }, { report: 'sales' })

  expect(await queue.schedules.list()).toMatchObject([
    { id: 'nightly', description: 'Sales', data: { report: 'sales' } },
  ])
  await queue.schedules.runNow('nightly')

  expect((await queue.list('ready')).jobs.map(({ data }) => data)).toEqual([{ report: 'sales' }])
})

test('hooks before, after and around, and where a job fails', async () => {
  const log: string[] = []
  const note = (what: string) => (): void => void log.push(what)
  const queue = createQueue<string>(open(), 'mail', {
    hooks: { beforeEnqueue: (data) => data !== 'spam', afterEnqueue: note('after enqueue') },
  })

  await expect(queue.enqueue('spam')).rejects.toMatchObject({ code: 'enqueue_refused' })
  await queue.enqueue('a', ONCE)
  const worker = queue.work(() => Promise.reject(new Error('no network')), {
    hooks: {
      before: note('before'),
      around: async (_, handle) => {
        log.push('around')
        await handle()
      },
      after: note('after'),
      failed: (_, error) => void log.push(String(error)),
    },
  })
  await vi.waitFor(async () => expect(await queue.counts()).toMatchObject({ dead: 1 }))
  await worker.stop()

  expect(log.filter((one) => one !== 'after enqueue')).toEqual(['before', 'around', 'Error: no network'])
  expect(log).toContain('after enqueue')
})

test('a mode for tests, in which jobs run where they are enqueued', async () => {
  const done: string[] = []
  const queue = createQueue<string>(open(), 'mail', { inline: ({ data }) => void done.push(data) })

  await queue.enqueue('a', { delayMs: HOUR_MS })

  expect(done).toEqual(['a'])
})

test('a list of delayed jobs, with promote, cancel and search', async () => {
  const queue = createQueue<{ to: string }>(open(), 'mail')
  await queue.enqueueMany([{ to: 'ana' }, { to: 'ben' }, { to: 'cleo' }], { delayMs: HOUR_MS })

  const [ana] = await queue.search({ text: '"ana"', state: 'scheduled' })
  const [ben] = await queue.search({ text: '"ben"', state: 'scheduled' })
  expect(await queue.promote([ana?.id as number])).toBe(1)
  expect(await queue.cancel([ben?.id as number])).toBe(1)

  expect(await queue.counts()).toMatchObject({ ready: 1, scheduled: 1 })
})

test('a list of jobs that wait for another attempt, which can be made to go on', async () => {
  const queue = createQueue<string>(open(), 'mail')
  await queue.enqueue('a')
  const worker = queue.work((job) => job.retry({ delayMs: HOUR_MS, reason: 'not yet' }))
  await vi.waitFor(async () => expect(await queue.counts()).toMatchObject({ retrying: 1 }))
  await worker.stop()

  expect((await queue.list('retrying')).jobs).toMatchObject([{ data: 'a', error: 'not yet', failures: 1 }])
  expect(await queue.bulk.retry()).toBe(1)

  expect(await queue.counts()).toMatchObject({ ready: 1, retrying: 0 })
})
