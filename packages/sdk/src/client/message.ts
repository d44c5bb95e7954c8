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
}

/** Messages as they came in one frame, or one page of history. */
export type Received = Pick<DeliverParams, 'first' | 'next' | 'runs' | 'messages'>

/** What the messages of one received range have in common. */
export interface Origin {
  readonly epoch: string
  readonly own: (publisher: string) => boolean
}

/**
 * A message of a received range. What is asked for seldom is worked out when it is asked for, so that handing a message over
 * costs one small object.
 */
export class ReceivedMessage<T> implements Message<T> {
  readonly data: T
  readonly offset: number
  readonly #origin: Origin
  readonly #run: Run
  /** Its place in the run. */
  readonly #index: number

  constructor(data: T, offset: number, origin: Origin, run: Run, index: number) {
    this.data = data
    this.offset = offset
    this.#origin = origin
    this.#run = run
    this.#index = index
  }

  get id(): string {
    const [publisher, first, , , extras] = this.#run
    return extras?.ids ? `${extras.ids[0]}-${extras.ids[1] + this.#index}` : `${publisher}-${first + this.#index}`
  }

  get cursor(): Cursor {
    return makeCursor(this.#origin.epoch, this.offset + 1)
  }

  get key(): string | undefined {
    return this.#run[4]?.keys?.[this.#index] ?? undefined
  }

  get at(): Date {
    return new Date(this.#run[3])
  }

  get own(): boolean {
    return this.#origin.own(this.#run[0])
  }

  toJSON(): Message<T> {
    const { data, id, offset, cursor, key, at, own } = this
    return { data, id, offset, cursor, key, at, own }
  }
}

/** Walks a received range message by message. */
export class Walk {
  readonly #received: Received
  readonly #origin: Origin
  #index = 0
  #run = 0
  #inRun = 0

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

  message<T>(data: T): ReceivedMessage<T> {
    return new ReceivedMessage(data, this.offset, this.#origin, this.#received.runs[this.#run] as Run, this.#inRun)
  }

  next(): void {
    this.#index++
    this.#inRun++
    if (this.#inRun >= (this.#received.runs[this.#run]?.[2] ?? 0)) {
      this.#run++
      this.#inRun = 0
    }
  }
}
