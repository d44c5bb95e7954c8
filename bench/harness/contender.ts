/** 64 bytes as JSON text, and numbered, so that a lost, doubled or misplaced message shows. */
export interface Payload {
  readonly n: number
  readonly text: string
}

const TEXT = 'x'.repeat(41)
const SEVEN_DIGITS = 1_000_000

export const payload = (index: number): Payload => ({ n: SEVEN_DIGITS + index, text: TEXT })
export const indexOf = ({ n }: Payload): number => n - SEVEN_DIGITS

/** All that a question may do to a server under test, so that every contender is asked in the same way. */
export interface Client {
  /** Resolves once the message is durable. */
  publish(data: Payload): PromiseLike<{ readonly offset: number | undefined }>
  /** Resolves once everything published from now on will be handed to the handler. */
  subscribe(handler: (data: Payload) => void): Promise<void>
  /** The first `count` messages that the server has stored, in its order; more or fewer if it holds more or fewer. */
  stored(count: number): Promise<Payload[]>
  /** @throws if anything went wrong on the way */
  close(): Promise<void>
}

/** A new client of one topic that nobody has used before. */
export type Connect = (topic: string) => Promise<Client>

/** A round that went wrong measures nothing. */
export class InvalidRound extends Error {
  override readonly name = 'InvalidRound'
}

/** @throws {InvalidRound} unless the topic holds messages 0 to `count - 1`, in this order */
export async function checkStored(client: Client, count: number): Promise<void> {
  const stored = await client.stored(count)
  if (stored.length !== count) throw new InvalidRound(`${count} messages were acked and ${stored.length} are stored`)
  const wrong = stored.findIndex((data, index) => indexOf(data) !== index)
  if (wrong !== -1) throw new InvalidRound(`at offset ${wrong} message ${indexOf(stored[wrong] as Payload)} is stored`)
}
