import { checkStored, InvalidRound, payload } from './harness/contender.ts'
import { median } from './harness/median.ts'
import type { Question } from './harness/question.ts'

/** How long a lone message takes until it is durable: what grouping must not be paid with. */
export const latency1: Question = {
  name: 'latency-1',
  asks: 'publish to ack, one in flight, p50',
  unit: 'ms',
  better: 'less',
  target: 1.5,
  turns: 7,
  messages: { messkit: 400, baseline: 400 },
  async measure(connect, topic, messages) {
    const client = await connect(topic)
    await client.publish(payload(0))

    const waits: number[] = []
    for (let index = 1; index < messages; index++) {
      const publishedAt = performance.now()
      const { offset } = await client.publish(payload(index))
      waits.push(performance.now() - publishedAt)
      if (offset !== index) throw new InvalidRound(`message ${index} was acked at offset ${offset}`)
    }

    await checkStored(client, messages)
    await client.close()
    return median(waits)
  },
}
