import { type Cursor, makeCursor } from '../protocol/cursor.ts'

/** The message is durable at its home. A repeat that is older than the publisher window has no offset any more. */
export type Ack =
  | { readonly duplicate: boolean; readonly offset: number; readonly cursor: Cursor }
  | { readonly duplicate: true; readonly offset: undefined; readonly cursor: undefined }

export interface Stored {
  readonly durability: 'disk' | 'memory'
}

/**
 * What `publish()` answers: a promise of the ack. A rejection that nobody awaits is an event (`refused`) and never an
 * unhandled rejection.
 */
export interface Receipt extends Promise<Ack> {
  /** The message's id, the same at every subscriber. */
  readonly id: string
  /** Resolves once the message is safe on this side: `'disk'` survives closing the browser. */
  readonly stored: Promise<Stored>
}

interface Fate {
  readonly offset: number | undefined
  readonly duplicate: boolean
  readonly epoch: string
}

let resolveNext: (ack: Ack) => void
let rejectNext: (error: Error) => void
const capture = (resolve: (ack: Ack) => void, reject: (error: Error) => void): void => {
  resolveNext = resolve
  rejectNext = reject
}
const ignore = (): void => {}

/**
 * A receipt as the outbox holds it. Its promise is made when somebody asks for it: most receipts of a busy publisher are
 * never looked at, and a promise that nobody asked for costs more than twice the rest of a receipt (bench/receipt.ts).
 */
class PendingReceipt {
  declare readonly catch: Receipt['catch']
  declare readonly finally: Receipt['finally']
  /** Set by the outbox that takes the message in. */
  declare stored: Promise<Stored>
  /** Its id is `<origin>-<number>`. */
  readonly origin: string
  readonly number: number
  #fate: Fate | Error | undefined
  #promise: Promise<Ack> | undefined
  #resolve: ((ack: Ack) => void) | undefined
  #reject: ((error: Error) => void) | undefined
  constructor(origin: string, number: number) {
    this.origin = origin
    this.number = number
  }

  get id(): string {
    return `${this.origin}-${this.number}`
  }

  // biome-ignore lint/suspicious/noThenProperty: a receipt is a promise; this is its `then`.
  then<A, B>(
    onAck?: ((ack: Ack) => A | PromiseLike<A>) | null,
    onError?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#made().then(onAck, onError)
  }

  get [Symbol.toStringTag](): string {
    return 'Receipt'
  }

  /** True until it is acked, refused or given up. */
  get waiting(): boolean {
    return this.#fate === undefined
  }

  ack(offset: number | undefined, duplicate: boolean, epoch: string): void {
    if (this.#fate) return
    this.#fate = { offset, duplicate, epoch }
    this.#resolve?.(ackOf(this.#fate))
  }

  fail(error: Error): void {
    if (this.#fate) return
    this.#fate = error
    this.#promise?.catch(ignore)
    this.#reject?.(error)
  }

  #made(): Promise<Ack> {
    if (this.#promise) return this.#promise
    this.#promise = new Promise<Ack>(capture)
    if (this.#fate instanceof Error) {
      this.#promise.catch(ignore)
      rejectNext(this.#fate)
    } else if (this.#fate) resolveNext(ackOf(this.#fate))
    else {
      this.#resolve = resolveNext
      this.#reject = rejectNext
    }
    return this.#promise
  }
}

// `catch` and `finally` are those of every promise and ask `then`; and `receipt instanceof Promise` tells tools what it is.
Object.setPrototypeOf(PendingReceipt.prototype, Promise.prototype)

export { PendingReceipt }

function ackOf({ offset, duplicate, epoch }: Fate): Ack {
  if (offset === undefined) return { duplicate: true, offset: undefined, cursor: undefined }
  // The cursor stands right behind the message: where a reader that has handled it goes on.
  return { duplicate, offset, cursor: makeCursor(epoch, offset + 1) }
}
