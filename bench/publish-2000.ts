import { checkStored, payload } from './harness/contender.ts'
import { publishInFlight } from './harness/in-flight.ts'
import type { Question } from './harness/question.ts'

/** How many messages a second one client can make durable. */
export const publish2000: Question = {
  name: 'publish-2000',
  asks: 'durable publishes, one client, 2,000 in flight',
  unit: 'acked/s',
  better: 'more',
  target: 60,
  turns: 1,
  messages: { messkit: 300_000, baseline: 4_000 },
  async measure(connect, topic, messages) {
    const client = await connect(topic)
    await client.publish(payload(0))

    const startedAt = performance.now()
    await publishInFlight(client, { from: 1, to: messages, inFlight: 2_000 })
    const seconds = (performance.now() - startedAt) / 1000

    await checkStored(client, messages)
    await client.close()
    return (messages - 1) / seconds
  },
}
