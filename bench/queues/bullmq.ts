import { Queue, Worker } from 'bullmq'
import { Redis } from 'ioredis'
import type { Payload } from '../harness/contender.ts'
import type { QueueClient } from './contender.ts'

/** BullMQ as its documentation shows it: one connection for whoever enqueues, one for the worker, jobs removed when they are done. */
export async function connectBullMQ({ url }: { url: string }, name: string): Promise<QueueClient> {
  const connections: Redis[] = []
  const connect = (): Redis => {
    const connection = new Redis(url, { maxRetriesPerRequest: null })
    connections.push(connection)
    return connection
  }
  const queue = new Queue<Payload>(name, { connection: connect(), defaultJobOptions: { removeOnComplete: true } })
  await queue.waitUntilReady()
  const errors: Error[] = []
  let stop = async (): Promise<void> => {}

  return {
    enqueue: (data) => queue.add('job', data),
    enqueueMany: (all) => queue.addBulk(all.map((data) => ({ name: 'job', data }))),
    async work(concurrency, handler) {
      const worker = new Worker<Payload>(name, async ({ data }) => handler(data), {
        connection: connect(),
        concurrency,
      })
      worker.on('failed', (_, error) => errors.push(error)).on('error', (error) => errors.push(error))
      await worker.waitUntilReady()
      stop = () => worker.close()
      return stop
    },
    async close() {
      await stop()
      await queue.close()
      for (const connection of connections) connection.disconnect()
      if (errors[0]) throw errors[0]
    },
  }
}
