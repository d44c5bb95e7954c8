import { checkStored, InvalidRound, indexOf, payload } from './harness/contender.ts'
import { publishInFlight } from './harness/in-flight.ts'
import type { Question } from './harness/question.ts'

const SUBSCRIBERS = 100

/** How many messages a second reach handlers when each goes to a hundred subscribers. */
export const fanout100: Question = {
  name: 'fanout-100',
  asks: `deliveries to ${SUBSCRIBERS} subscribers, 2,000 in flight`,
  unit: 'deliveries/s',
  better: 'more',
  target: 14,
  turns: 1,
  messages: { messkit: 16_000, baseline: 1_000 },
  async measure(connect, topic, messages) {
    const client = await connect(topic)
    const arrived = Array.from({ length: SUBSCRIBERS }, () => arrival(messages))
    for (const { handler } of arrived) await client.subscribe(handler)
    await client.publish(payload(0))

    const startedAt = performance.now()
    await publishInFlight(client, { from: 1, to: messages, inFlight: 2_000 })
    await Promise.all(arrived.map(({ all }) => all))
    const seconds = (performance.now() - startedAt) / 1000

    await checkStored(client, messages)
    await client.close()
    return ((messages - 1) * SUBSCRIBERS) / seconds
  },
}

/** One subscriber's handler, and a promise that all came, in order. */
function arrival(messages: number) {
  const { promise: all, resolve, reject } = Promise.withResolvers<void>()
  let expected = 0
  const handler = (data: Parameters<typeof indexOf>[0]): void => {
    if (indexOf(data) !== expected++)
      reject(new InvalidRound(`message ${indexOf(data)} came instead of ${expected - 1}`))
    if (expected === messages) resolve()
  }
  return { handler, all }
}
