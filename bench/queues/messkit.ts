import { createMess } from '@messkit/sdk'
import { createQueue } from '@messkit/sdk/queue'
import type { Payload } from '../harness/contender.ts'
import type { QueueClient } from './contender.ts'

/** Messkit as its users have it: the public SDK, one `createMess()` for whoever enqueues and one for the worker. */
export async function connectMesskit(
  { url, token }: { url: string; token: string },
  name: string,
): Promise<QueueClient> {
  const errors: Error[] = []
  const open = () => {
    const mess = createMess({ url, token: () => token })
    mess.on('error', (error) => errors.push(error))
    return { mess, queue: createQueue<Payload>(mess, name) }
  }
  const [enqueuer, worker] = [open(), open()]
  await Promise.all([enqueuer.queue.counts(), worker.queue.counts()])

  return {
    enqueue: (data) => enqueuer.queue.enqueue(data),
    enqueueMany: (data) => enqueuer.queue.enqueueMany(data),
    async work(concurrency, handler) {
      const working = worker.queue.work(({ data }) => handler(data), { concurrency })
      return () => working.stop()
    },
    async close() {
      await Promise.all([enqueuer.mess.close(), worker.mess.close()])
      // Also what Messkit would get over counts: a round with a lost link in it measures something else.
      if (errors[0]) throw errors[0]
    },
  }
}
