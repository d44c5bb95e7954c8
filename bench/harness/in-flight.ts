import { type Client, InvalidRound, indexOf, type Payload, payload } from './contender.ts'

/**
 * Publish messages `from` to `to - 1` with so many in flight: that many loops, each of which awaits its message before it publishes the
 * next one. Every ack has to carry the offset that the order of publishing demands.
 */
export async function publishInFlight(
  client: Client,
  { from, to, inFlight }: { from: number; to: number; inFlight: number },
): Promise<void> {
  let next = from
  const loop = async (): Promise<void> => {
    while (next < to) {
      const data: Payload = payload(next++)
      const { offset } = await client.publish(data)
      if (offset !== indexOf(data)) throw new InvalidRound(`message ${indexOf(data)} was acked at offset ${offset}`)
    }
  }
  await Promise.all(Array.from({ length: inFlight }, loop))
}
