import { afterEach, describe, expect, it, vi } from 'vitest'
import { rankOf } from '../../packages/sdk/src/client/queue-many.ts'
import { createMess, type Mess } from '../../packages/sdk/src/index.ts'
import { LIMITS } from '../../packages/sdk/src/protocol/limits.ts'
import { createQueue, queueNames, type Worker, work } from '../../packages/sdk/src/queue.ts'

const clients: Mess[] = []
const workers: Worker[] = []
afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.stop({ waitMs: 0 })))
  await Promise.all(clients.splice(0).map((mess) => mess.close()))
})

function open(): Mess {
  const mess = createMess({ storage: 'memory', tabs: false })
  clients.push(mess)
  return mess
}

/** What is handled, in order; each handler ends when the test lets it. */
function handling(mess: Mess, queues: readonly string[], concurrency = 1) {
  const begun: string[] = []
  const ends: (() => void)[] = []
  const watchers = new Set<() => void>()
  const worker = work(
    mess,
    queues,
    (job, queue) => {
      begun.push(`${queue} ${job.data}`)
      for (const tell of [...watchers]) tell()
      return new Promise<void>((resolve) => ends.push(resolve))
    },
    { concurrency },
  )
  workers.push(worker)
  const reaches = (count: number): Promise<void> =>
    new Promise((resolve) => {
      const look = (): void => {
        if (begun.length < count) return
        watchers.delete(look)
        resolve()
      }
      watchers.add(look)
      look()
    })
  /** Ends what was begun first, until so many were begun. */
  const until = async (count: number): Promise<string[]> => {
    while (begun.length < count) {
      const before = begun.length
      ends.shift()?.()
      await reaches(Math.min(count, before + 1))
    }
    return begun
  }
  return { begun, ends, reaches, until, worker }
}

describe('a worker on several queues', () => {
  it('begins jobs of an earlier queue first', async () => {
    const mess = open()
    for (const name of ['low', 'critical']) await createQueue(mess, name).enqueueMany([1, 2, 3])

    const { reaches, until } = handling(mess, ['critical', 'low'])
    await reaches(1)
    // The first one is whatever was at hand first.
    const begun = (await until(6)).slice(1)

    const lows = begun.map((one, i) => (one.startsWith('low') ? i : -1)).filter((i) => i >= 0)
    const lastCritical = begun.findLastIndex((one) => one.startsWith('critical'))
    expect(Math.min(...lows)).toBeGreaterThan(lastCritical)
  })

  it('lets what comes later in an earlier queue go before what waits in a later one', async () => {
    const mess = open()
    const critical = createQueue(mess, 'critical')
    await createQueue(mess, 'low').enqueueMany([1, 2, 3])
    const { reaches, until, ends } = handling(mess, ['critical', 'low'])
    await reaches(1)

    await critical.enqueueMany([1, 2])

    expect((await until(5)).slice(0, 3)).toEqual(['low 1', 'critical 1', 'critical 2'])
    ends.shift()?.()
  })

  it('gives back what it cannot begin, so that others can', async () => {
    const mess = open()
    const low = createQueue(mess, 'low')
    await low.enqueueMany([1, 2])
    const one = handling(mess, ['critical', 'low'])
    await one.reaches(1)
    await createQueue(mess, 'critical').enqueueMany([1, 2])

    const other = handling(mess, ['low'])
    await other.reaches(1)

    expect([one.begun, other.begun]).toEqual([['low 1'], ['low 2']])
  })

  it('runs no more handlers in all than it is told', async () => {
    const mess = open()
    for (const name of ['a', 'b', 'c']) await createQueue(mess, name).enqueueMany([1, 2])

    const { begun, reaches, until, worker } = handling(mess, ['*'], 2)
    await reaches(2)

    expect(worker.running).toBe(2)
    expect(begun).toHaveLength(2)
    expect(new Set(await until(6)).size).toBe(6)
  })

  it('finds queues that come later, and leaves out what it is told to', async () => {
    const mess = open()
    const { begun, reaches, until } = handling(mess, ['mail/*', '!mail/low'])
    await createQueue(mess, 'other').enqueue(1)
    await createQueue(mess, 'mail/low').enqueue(1)
    await createQueue(mess, 'mail/out').enqueue(1)
    await reaches(1)
    await createQueue(mess, 'mail/in').enqueue(1)

    expect(await until(2)).toEqual(['mail/out 1', 'mail/in 1'])
    expect(begun).toHaveLength(2)
    expect(await queueNames(mess)).toEqual(['mail/in', 'mail/low', 'mail/out', 'other'])
  })

  it('stops, and its jobs are there for the next one', async () => {
    const mess = open()
    const queue = createQueue(mess, 'a')
    await queue.enqueueMany([1, 2, 3])
    const { reaches, ends, worker } = handling(mess, ['a', 'b'])
    await reaches(1)

    const stopped = worker.stop()
    ends.shift()?.()
    await stopped

    expect(await queue.counts()).toMatchObject({ ready: 2, active: 0 })
  })

  it('is quiet on all its queues, those that come later included, until it resumes', async () => {
    const mess = open()
    await createQueue(mess, 'a').enqueueMany([1, 2])
    const { begun, reaches, ends, worker } = handling(mess, ['*'])
    await reaches(1)

    worker.quiet()
    const later = createQueue(mess, 'b')
    await later.enqueue(1)
    ends.shift()?.()
    await vi.waitFor(async () => expect(await createQueue(mess, 'a').counts()).toMatchObject({ ready: 1, active: 0 }))
    expect(await later.counts()).toMatchObject({ ready: 1, active: 0 })
    expect(begun).toEqual(['a 1'])
    worker.resume()
    await reaches(2)
    expect(begun).toEqual(['a 1', 'a 2'])
  })

  it('is done once its client is closed, or its signal aborted, also before it has found a queue', async () => {
    const [mess, other] = [open(), open()]
    const ending = new AbortController()
    const one = work(mess, ['no/*'], () => {})
    const two = work(other, ['no/*'], () => {}, { signal: ending.signal })

    ending.abort()
    await mess.close()

    await Promise.all([one.done, two.done])
  })

  it('tells of all queues, however many pages they take', async () => {
    const mess = open()
    const names = Array.from({ length: LIMITS.queuesPerPage + 10 }, (_, i) => `q${String(i).padStart(5, '0')}`)
    await Promise.all(names.map((name) => createQueue(mess, name).counts()))

    expect(await queueNames(mess)).toEqual(names)
  })

  it.each([0, 1.5, Number.NaN])('refuses to look for queues every %s ms', (findMs) => {
    expect(() => work(open(), ['*'], () => {}, { findMs })).toThrow('findMs')
  })

  it('refuses a pattern that fits no name', () => {
    expect(() => work(open(), ['/'], () => {})).toThrow(expect.objectContaining({ code: 'bad_name' }))
  })
})

it('patterns say which queue goes first', () => {
  const patterns = ['critical', 'mail/*', '*', '!low', '!*/test']

  expect(
    ['critical', 'mail/out', 'mail/a/b', 'other', 'critical2', 'low', 'mail/test'].map((name) =>
      rankOf(patterns, name),
    ),
  ).toEqual([0, 1, 1, 2, 2, -1, -1])
  expect(['a', 'ab', 'aXb', 'aXbXb', 'b'].map((name) => rankOf(['a*b'], name))).toEqual([-1, 0, 0, 0, -1])
  expect(rankOf(['a*a'], 'a')).toBe(-1)
})
