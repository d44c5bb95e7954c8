import { type Cursor, makeCursor } from '../protocol/cursor.ts'
import type { DeliverParams, Run } from '../protocol/frames/deliver.ts'

/** A stored message as a handler gets it. */
export interface Message<T> {
  readonly data: T
  /** The same as the receipt's id at its publisher. */
  readonly id: string
  readonly offset: number
  /** Right behind this message: subscribing from here goes on with the next one. */
  readonly cursor: Cursor
  readonly key: string | undefined
  /** When its home took it in. */
  readonly at: Date
  /** Whether this client published it. */
  readonly own: boolean
  /** The user in whose name it was sealed, on a topic with a cipher; whoever has the key can have written that. */
  readonly by?: string
}

/** What a topic makes of a stored payload; it may add to the message what the payload vouches for. */
export type Read<T> = (raw: unknown, message: Pick<Message<unknown>, 'key' | 'cursor'> & { by?: string }) => T

/** Messages as they came in one frame, or one page of history. */
export type Received = Pick<DeliverParams, 'first' | 'next' | 'runs' | 'messages'>

/** What the messages of one received range have in common. */
export interface Origin {
  readonly epoch: string
  readonly own: (publisher: string) => boolean
}

/** What the messages of one run have in common. */
interface RunFacts {
  readonly origin: string
  readonly number: number
  readonly keys: readonly (string | null)[] | undefined
  readonly at: Date
  readonly own: boolean
}

function factsOf([publisher, first, , at, extras]: Run, { own }: Origin): RunFacts {
  const [origin, number] = extras?.ids ?? [publisher, first]
  return { origin, number, keys: extras?.keys, at: new Date(at), own: own(publisher) }
}

/** Walks a received range message by message. */
export class Walk {
  readonly #received: Received
  readonly #origin: Origin
  #index = 0
  #run = 0
  #inRun = 0
  #facts: RunFacts | undefined

  constructor(received: Received, origin: Origin) {
    this.#received = received
    this.#origin = origin
  }

  get done(): boolean {
    return this.#index >= this.#received.messages.length
  }

  get offset(): number {
    return this.#received.first + this.#index
  }

  get raw(): unknown {
    return this.#received.messages[this.#index]
  }

  /** Plain data, so that it can be copied, compared and sent on. */
  message<T>(read: Read<T>): Message<T> {
    this.#facts ??= factsOf(this.#received.runs[this.#run] as Run, this.#origin)
    const { origin, number, keys, at, own } = this.#facts
    const { offset } = this
    const cursor = makeCursor(this.#origin.epoch, offset + 1)
    const message = {
      data: undefined as T,
      id: `${origin}-${number + this.#inRun}`,
      offset,
      cursor,
      key: keys?.[this.#inRun] ?? undefined,
      at,
      own,
    }
    message.data = read(this.raw, message)
    return message
  }

  next(): void {
    this.#index++
    this.#inRun++
    if (this.#inRun >= (this.#received.runs[this.#run]?.[2] ?? 0)) {
      this.#run++
      this.#inRun = 0
      this.#facts = undefined
    }
  }
}
