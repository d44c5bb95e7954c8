import { GapError } from './errors.ts'
import type { Message } from './message.ts'
import { Subscribing, type SubscriptionSetup } from './subscription.ts'

type Answer<T> = IteratorResult<Message<T>>

/**
 * A subscription as an iterator for one reader. It subscribes at once, holds one message at a time, and takes the next `next()`
 * as the sign that the last one was handled.
 */
export class MessageIterator<T> extends Subscribing<T> implements AsyncIterableIterator<Message<T>> {
  /** Every answer behind the last message: the end, or the error that ended it. */
  readonly #ended: Promise<Answer<T>>
  /** Whoever asked and has no answer yet. */
  readonly #readers: ((answer: Answer<T> | Promise<Answer<T>>) => void)[] = []
  #offered: { readonly message: Message<T>; readonly handled: () => void } | undefined
  #handled: (() => void) | undefined

  constructor(setup: Omit<SubscriptionSetup<T>, 'handler'>) {
    const onGap =
      setup.options.onGap ??
      ((gap) => {
        throw new GapError(gap)
      })
    super({ ...setup, options: { ...setup.options, onGap }, handler: (message) => this.#offer(message) })
    this.#ended = this.done.then(() => ({ done: true, value: undefined }))
    const end = (): void => {
      for (const answer of this.#readers.splice(0)) answer(this.#ended)
    }
    this.#ended.then(end, end)
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<Answer<T>> {
    this.#handled?.()
    this.#handled = undefined
    if (this.state === 'stopped') return this.#ended
    return new Promise((answer) => {
      this.#readers.push(answer)
      this.#give()
    })
  }

  async return(): Promise<Answer<T>> {
    this.stop()
    return { done: true, value: undefined }
  }

  #offer(message: Message<T>): Promise<void> {
    return new Promise((handled) => {
      this.#offered = { message, handled }
      this.#give()
    })
  }

  #give(): void {
    const offered = this.#offered
    const answer = offered && this.#readers.shift()
    if (!answer) return
    this.#offered = undefined
    answer({ done: false, value: offered.message })
    // The next one may have been asked for already.
    if (this.#readers.length > 0) offered.handled()
    else this.#handled = offered.handled
  }
}
