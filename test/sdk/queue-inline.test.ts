import { createMess, type Mess, type MessError } from '@messkit/sdk'
import { createQueue, type Job, type JobReport, type QueueOptions } from '@messkit/sdk/queue'
import * as v from 'valibot'
import { afterEach, expect, it } from 'vitest'

/** Jobs that are handled where they are enqueued. */

const clients: Mess[] = []
afterEach(async () => {
  await Promise.all(clients.splice(0).map((mess) => mess.close()))
})

function open<I = unknown, O = I>(options: QueueOptions<I, O>) {
  const mess = createMess({ storage: 'memory', tabs: false })
  const errors: MessError[] = []
  mess.on('error', (error) => errors.push(error))
  clients.push(mess)
  return { mess, errors, queue: createQueue<I, O>(mess, 'mail/out', options) }
}

const HOUR_MS = 3_600_000

it('hands jobs to the handler where they are enqueued, in order, as JSON and the schema have them', async () => {
  const jobs: Job<number>[] = []
  const schema = v.pipe(v.string(), v.transform(Number))
  const { queue } = open<string, number>({ schema, inline: (job) => void jobs.push(job) })

  const enqueued = await queue.enqueueMany(['1', '2'])

  expect(jobs.map(({ id, data, attempt }) => [id, data, attempt])).toEqual([
    [enqueued[0]?.id, 1, 1],
    [enqueued[1]?.id, 2, 1],
  ])
  expect(await queue.counts()).toMatchObject({ ready: 0, active: 0 })
})

it('does one job of a call after the other, and answers when all are done', async () => {
  const log: string[] = []
  const { queue } = open<string>({
    inline: async ({ data }) => {
      log.push(`${data} begins`)
      await new Promise((resolve) => setTimeout(resolve))
      log.push(`${data} ends`)
    },
  })

  await queue.enqueueMany(['a', 'b'])

  expect(log).toEqual(['a begins', 'a ends', 'b begins', 'b ends'])
})

it('tries again at once, whatever the backoff, and waits for no time', async () => {
  const attempts: number[] = []
  const { queue } = open({
    inline: ({ attempt }) => {
      attempts.push(attempt)
      if (attempt < 3) throw new Error('not yet')
    },
  })

  await queue.enqueue('a', { delayMs: HOUR_MS, attempts: 3, backoff: { type: 'fixed', initialMs: HOUR_MS } })
  await queue.enqueue('b', { runAt: new Date(Date.now() + HOUR_MS), group: 'ana', attempts: 3 })

  expect(attempts).toEqual([1, 2, 3, 1, 2, 3])
})

it('rejects with what the last attempt threw, and has the job among the dead', async () => {
  const cause = new Error('broken')
  const { queue, errors } = open({ attempts: 2, inline: () => Promise.reject(cause) })

  await expect(queue.enqueue('a')).rejects.toMatchObject({ code: 'job_dead', cause })

  expect((await queue.dead()).jobs).toMatchObject([{ data: 'a', failures: 2, error: 'Error: broken' }])
  expect(errors).toEqual([])
})

it('goes on with the others of a call where one is dead', async () => {
  const done: number[] = []
  const { queue } = open<number>({
    inline: (job) => {
      if (job.data === 1) job.bury('no use')
      else done.push(job.data)
    },
  })

  await expect(queue.enqueueMany([1, 2])).rejects.toThrow('no use')

  expect(done).toEqual([2])
})

it('gives handles with results, and tells what handlers report, keep and log', async () => {
  const reports: JobReport[] = []
  const states: unknown[] = []
  const { queue } = open<string>({
    retain: { ms: HOUR_MS },
    inline: async (job) => {
      states.push(job.state)
      const watching = (async () => {
        for await (const report of queue.job(job.id).progress()) reports.push(report)
      })()
      await job.checkpoint('half')
      job.progress(0.5)
      job.log('half')
      if (job.attempt === 1) throw new Error('not yet')
      void watching
      return { sent: job.data }
    },
  })

  const job = await queue.enqueue('a')

  expect(await job.result()).toEqual({ sent: 'a' })
  expect(await job.cancel()).toBe(false)
  expect(states).toEqual([undefined, 'half'])
  expect((await queue.list('completed')).jobs).toMatchObject([{ result: { sent: 'a' }, log: ['half'] }])
  expect(reports[0]).toMatchObject({ progress: 0.5, log: ['half'] })
})

it('knows all words of a job', async () => {
  const said: string[] = []
  const { queue } = open<string>({
    inline: (job) => {
      said.push(job.data)
      if (job.data === 'bury') job.bury('no use')
      if (said.filter((one) => one === job.data).length > 1) return
      job.extend()
      if (job.data === 'retry') job.retry({ delayMs: HOUR_MS })
      if (job.data === 'release') job.release()
      if (job.data === 'later') job.release({ delayMs: HOUR_MS })
    },
  })

  for (const word of ['retry', 'release', 'later']) await queue.enqueue(word)
  await expect(queue.enqueue('bury')).rejects.toMatchObject({ code: 'job_dead' })

  expect(said).toEqual(['retry', 'retry', 'release', 'release', 'later', 'later', 'bury'])
})

it('ends a job that is put off for ever', async () => {
  const { queue } = open({ inline: (job) => job.release() })

  await expect(queue.enqueue('a')).rejects.toThrow('put off')
})

it('lets handlers enqueue, also later, and into the same queue', async () => {
  const done: number[] = []
  const { queue } = open<number>({
    inline: async ({ data }) => {
      if (data > 1) await queue.enqueue(data - 1, { delayMs: HOUR_MS })
      done.push(data)
    },
  })

  await queue.enqueue(3)

  expect(done).toEqual([1, 2, 3])
})

it('has hooks around it as everywhere, and does not run what they refuse', async () => {
  const log: string[] = []
  const { queue } = open<string>({
    hooks: {
      beforeEnqueue: (data) => data !== 'b',
      afterEnqueue: (_, data) => void log.push(`after ${data}`),
    },
    inline: ({ data }) => void log.push(data),
  })

  await queue.enqueue('a')
  await expect(queue.enqueue('b')).rejects.toMatchObject({ code: 'enqueue_refused' })

  await expect.poll(() => log).toEqual(['a', 'after a'])
})

it('is for clients without a server, and ends with its client', async () => {
  const remote = createMess({ url: 'http://127.0.0.1:1', storage: 'memory', tabs: false })
  clients.push(remote)
  const { mess, queue } = open({ inline: () => {} })
  await mess.close()

  await expect(createQueue(remote, 'mail', { inline: () => {} }).enqueue(1)).rejects.toMatchObject({
    code: 'bad_option',
  })
  await expect(queue.enqueue(1)).rejects.toMatchObject({ code: 'closed' })
})
