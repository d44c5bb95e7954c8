import { InvalidRound, indexOf, payload } from '../harness/contender.ts'
import { median } from '../harness/median.ts'
import type { QueueClient, QueueQuestion } from './contender.ts'

const CONCURRENCY = 50
const MANY = 1_000

/** So many loops, each of which awaits its job before it enqueues the next one. */
async function enqueueInFlight(client: QueueClient, jobs: number, inFlight: number): Promise<void> {
  let next = 0
  const loop = async (): Promise<void> => {
    while (next < jobs) await client.enqueue(payload(next++))
  }
  await Promise.all(Array.from({ length: inFlight }, loop))
}

async function fill(client: QueueClient, jobs: number): Promise<void> {
  for (let from = 0; from < jobs; from += MANY) {
    const count = Math.min(MANY, jobs - from)
    await client.enqueueMany(Array.from({ length: count }, (_, i) => payload(from + i)))
  }
}

/** Every job once: one that was done twice, or that nobody enqueued, makes the round worth nothing. */
async function drain(client: QueueClient, jobs: number): Promise<number> {
  const seen = new Uint8Array(jobs)
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  let count = 0
  const startedAt = performance.now()
  const stop = await client.work(CONCURRENCY, (data) => {
    const index = indexOf(data)
    if (seen[index] !== 0) reject(new InvalidRound(`job ${index} was handled twice, or nobody enqueued it`))
    seen[index] = 1
    if (++count === jobs) resolve()
  })
  await promise
  await stop()
  return jobs / ((performance.now() - startedAt) / 1000)
}

/** How many jobs a second one client can have kept. */
const enqueue200: QueueQuestion = {
  name: 'queue-enqueue-200',
  asks: 'jobs enqueued one by one, 200 in flight',
  unit: 'jobs/s',
  better: 'more',
  target: 6,
  jobs: { messkit: 100_000, bullmq: 20_000 },
  async measure(connect, queue, jobs) {
    const client = await connect(queue)
    const startedAt = performance.now()
    await enqueueInFlight(client, jobs, 200)
    const seconds = (performance.now() - startedAt) / 1000
    // What was said to be kept must be there.
    await drain(client, jobs)
    await client.close()
    return jobs / seconds
  },
}

/** How many jobs a second a worker finishes that does nothing: all of it is the queue's own work. */
const process50: QueueQuestion = {
  name: 'queue-process-50',
  asks: 'jobs taken and finished, handler that does nothing, concurrency 50',
  unit: 'jobs/s',
  better: 'more',
  target: 8,
  jobs: { messkit: 100_000, bullmq: 15_000 },
  async measure(connect, queue, jobs) {
    const client = await connect(queue)
    await fill(client, jobs)
    const rate = await drain(client, jobs)
    await client.close()
    return rate
  },
}

/** How long a job waits that meets an idle worker. */
const start1: QueueQuestion = {
  name: 'queue-start-1',
  asks: 'from enqueue() to the start of the handler, idle worker, p50',
  unit: 'ms',
  better: 'less',
  target: 1.2,
  jobs: { messkit: 400, bullmq: 400 },
  async measure(connect, queue, jobs) {
    const client = await connect(queue)
    let begun = (): void => {}
    await client.work(CONCURRENCY, () => begun())
    const waits: number[] = []
    for (let n = 0; n < jobs; n++) {
      const started = new Promise<void>((resolve) => {
        begun = resolve
      })
      const startedAt = performance.now()
      const enqueued = client.enqueue(payload(n))
      await started
      waits.push(performance.now() - startedAt)
      await enqueued
    }
    await client.close()
    return median(waits)
  },
}

export const QUEUE_QUESTIONS: readonly QueueQuestion[] = [enqueue200, process50, start1]
