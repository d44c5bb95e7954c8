import type { Cursor } from '../protocol/cursor.ts'
import { type Gap, GapError } from './errors.ts'
import type { Message } from './message.ts'
import type { Subscription } from './subscription.ts'

type Start<T> = (handler: (message: Message<T>) => Promise<void>, onGap: (gap: Gap) => never) => Subscription

/**
 * A subscription as an iterator for one reader. It subscribes when it is asked for the first message, holds one message at a
 * time, and takes the next `next()` as the sign that the last one was handled.
 */
export class MessageIterator<T> implements AsyncIterableIterator<Message<T>>, Subscription {
  readonly #subscription: Subscription
  #reader: { resolve: (result: IteratorResult<Message<T>>) => void; reject: (error: unknown) => void } | undefined
  #offered: { message: Message<T>; handled: () => void } | undefined
  #handled: (() => void) | undefined
  #error: unknown

  constructor(start: Start<T>) {
    this.#subscription = start(
      (message) => this.#offer(message),
      (gap) => {
        throw new GapError(gap)
      },
    )
    this.#subscription.done.then(
      () => this.#end(undefined),
      (error: unknown) => this.#end(error),
    )
  }

  get state(): Subscription['state'] {
    return this.#subscription.state
  }

  get cursor(): Cursor | undefined {
    return this.#subscription.cursor
  }

  get ready(): Subscription['ready'] {
    return this.#subscription.ready
  }

  get done(): Promise<void> {
    return this.#subscription.done
  }

  stop(): void {
    this.#subscription.stop()
  }

  [Symbol.dispose](): void {
    this.stop()
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<Message<T>>> {
    this.#handled?.()
    this.#handled = undefined
    return new Promise((resolve, reject) => {
      const offered = this.#offered
      if (offered) {
        this.#offered = undefined
        this.#handled = offered.handled
        resolve({ done: false, value: offered.message })
      } else if (this.#error !== undefined) reject(this.#error)
      else if (this.state === 'stopped') resolve({ done: true, value: undefined })
      else this.#reader = { resolve, reject }
    })
  }

  async return(): Promise<IteratorResult<Message<T>>> {
    this.stop()
    return { done: true, value: undefined }
  }

  #offer(message: Message<T>): Promise<void> {
    return new Promise((handled) => {
      const reader = this.#reader
      if (!reader) {
        this.#offered = { message, handled }
        return
      }
      this.#reader = undefined
      this.#handled = handled
      reader.resolve({ done: false, value: message })
    })
  }

  #end(error: unknown): void {
    this.#error = error
    const reader = this.#reader
    this.#reader = undefined
    if (error !== undefined) reader?.reject(error)
    else reader?.resolve({ done: true, value: undefined })
  }
}
