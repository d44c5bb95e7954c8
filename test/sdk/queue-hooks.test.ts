import { createMess, type Mess, type MessError } from '@messkit/sdk'
import { createQueue, type Job, type QueueOptions, type WorkHooks, work } from '@messkit/sdk/queue'
import { afterEach, describe, expect, it, vi } from 'vitest'

/** What else is done with jobs, before they are enqueued and around their handlers. */

const clients: Mess[] = []
afterEach(async () => {
  await Promise.all(clients.splice(0).map((mess) => mess.close()))
})

function open<I = unknown, O = I>(options: QueueOptions<I, O> = {}) {
  const mess = createMess({ storage: 'memory', tabs: false })
  const errors: MessError[] = []
  mess.on('error', (error) => errors.push(error))
  clients.push(mess)
  return { mess, errors, queue: createQueue<I, O>(mess, 'mail/out', options) }
}

const NOW = { backoff: { type: 'fixed', initialMs: 1, jitter: 0 } } as const
const fail = (what: string) => () => {
  throw new Error(what)
}

describe('hooks of a worker', () => {
  /** What was done, in order, until the queue has nothing more to do. */
  const done = async (hooks: (log: string[]) => WorkHooks, handler: (job: Job<unknown>) => unknown = () => {}) => {
    const { queue, errors } = open()
    const log: string[] = []
    const job = await queue.enqueue('a', { attempts: 2, ...NOW })
    const worker = queue.work(
      (job) => {
        log.push(`handler ${job.attempt}`)
        return handler(job)
      },
      { hooks: hooks(log), onError: () => {} },
    )
    const result = await job.result().catch((error: MessError) => error.code)
    await worker.stop()
    return { log, result, errors, error: (await queue.dead()).jobs[0]?.error }
  }

  it('run before, around and after each job, and leave it its result', async () => {
    const { log, result } = await done(
      (log) => ({
        before: ({ data }) => void log.push(`before ${data}`),
        around: async (_, handle) => {
          log.push('around')
          log.push(`around, too: ${await handle()}`)
          return 'nobody asks for this'
        },
        after: (_, result) => void log.push(`after ${result}`),
        failed: () => void log.push('failed'),
      }),
      () => 'sent',
    )

    expect(log).toEqual(['before a', 'around', 'handler 1', 'around, too: sent', 'after sent'])
    expect(result).toBe('sent')
  })

  it.each(['before', 'around', 'after'] as const)('fail the attempt where `%s` throws', async (name) => {
    const { result, error, log } = await done((log) => ({
      [name]: fail(`${name} broke`),
      failed: (_, error) => void log.push(String(error)),
    }))

    expect(result).toBe('job_dead')
    expect(error).toBe(`Error: ${name} broke`)
    expect(log.filter((one) => one.includes('broke'))).toHaveLength(2)
  })

  it.each([
    ['`before` returns false', { before: () => false as const, after: fail('is not asked') }],
    ['`around` does not run it', { around: () => {} }],
  ])('leave the handler out where %s', async (_, hooks) => {
    expect(await done(() => hooks)).toMatchObject({ log: [], result: undefined, errors: [] })
  })

  it('may take what a handler threw', async () => {
    const { log, result } = await done(
      (log) => ({
        around: async (_, handle) => {
          await handle().catch((error) => log.push(`${error}`))
        },
        failed: () => void log.push('failed'),
      }),
      fail('broken'),
    )

    expect(log).toEqual(['handler 1', 'Error: broken'])
    expect(result).toBeUndefined()
  })

  it('do not end a job before its handler, also where `around` waits for nothing', async () => {
    const { log, result } = await done(
      (log) => ({ around: (_, handle) => void handle(), after: (_, result) => void log.push(`after ${result}`) }),
      async ({ attempt }) => {
        await new Promise((resolve) => setTimeout(resolve))
        if (attempt === 1) throw new Error('not yet')
        return 'sent'
      },
    )

    expect(log).toEqual(['handler 1', 'handler 2', 'after sent'])
    expect(result).toBe('sent')
  })

  it('hear of each attempt that failed, and may say what becomes of the job', async () => {
    const { log, result, error } = await done(
      (log) => ({
        failed: (job, error) => {
          log.push(`${job.attempt} ${error}`)
          job.bury('no use')
        },
      }),
      fail('broken'),
    )

    expect(log).toEqual(['handler 1', '1 Error: broken'])
    expect([result, error]).toEqual(['job_dead', 'no use'])
  })

  it('change nothing where `failed` throws, which is told', async () => {
    const { error, errors } = await done(() => ({ failed: fail('hook broke') }), fail('broken'))

    expect(error).toBe('Error: broken')
    expect(errors.map(({ code, cause }) => [code, String(cause)])).toEqual(
      Array(2).fill(['handler_failed', 'Error: hook broke']),
    )
  })

  it('are there for workers on several queues, too', async () => {
    const { mess, queue } = open()
    const log: string[] = []
    const worker = work(mess, ['mail/*'], (_, name) => void log.push(name), {
      hooks: { before: () => void log.push('before') },
    })
    await queue.enqueue(1)

    await vi.waitFor(() => expect(log).toEqual(['before', 'mail/out']))
    await worker.stop()
  })
})

describe('hooks of a queue', () => {
  it('refuse jobs, with all of their call, before anything is stored', async () => {
    const cause = new RangeError('too many')
    const { queue, mess } = open<number>({
      hooks: {
        beforeEnqueue: (data) => {
          if (data > 1) throw cause
        },
      },
    })

    await queue.enqueue(1)
    await expect(queue.enqueueMany([1, 2])).rejects.toMatchObject({ code: 'enqueue_refused', cause })
    await expect(queue.enqueue(2).stored).rejects.toMatchObject({ code: 'enqueue_refused' })

    expect(mess.status.unsent).toBe(0)
    expect(await queue.counts()).toMatchObject({ ready: 1 })
  })

  it.each([
    ['false', () => false],
    // As whoever writes no types may have it.
    ['a promise', (async () => {}) as unknown as () => boolean],
  ])('refuse with %s', async (_, beforeEnqueue) => {
    const { queue } = open<number>({ hooks: { beforeEnqueue } })

    await expect(queue.enqueue(1)).rejects.toMatchObject({ code: 'enqueue_refused' })
    expect(await queue.counts()).toMatchObject({ ready: 0 })
  })

  it('let pass with true, or without a word', async () => {
    const { queue } = open<number>({ hooks: { beforeEnqueue: (data) => (data > 1 ? true : undefined) } })

    expect(await queue.enqueueMany([1, 2])).toHaveLength(2)
  })

  it('hear of jobs that are durable, and what they throw is told and harms nothing', async () => {
    const heard: unknown[] = []
    const { queue, errors } = open<string>({
      hooks: {
        afterEnqueue: ({ id }, data) => {
          heard.push([id, data])
          throw new Error('hook broke')
        },
      },
    })

    const jobs = await queue.enqueueMany(['a', 'b'])

    await vi.waitFor(() => expect(errors.map(({ cause }) => String(cause))).toEqual(Array(2).fill('Error: hook broke')))
    expect(heard).toEqual(jobs.map(({ id }, i) => [id, ['a', 'b'][i]]))
  })

  it('do not hear of what was refused', async () => {
    const afterEnqueue = vi.fn()
    const { queue } = open<number>({ hooks: { beforeEnqueue: () => false, afterEnqueue } })

    await expect(queue.enqueue(1)).rejects.toThrow()
    await queue.counts()

    expect(afterEnqueue).not.toHaveBeenCalled()
  })
})
