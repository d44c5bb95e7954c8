import { type Cursor, makeCursor } from '../protocol/cursor.ts'
import type { DeliverParams } from '../protocol/frames/deliver.ts'
import { type Gap, GapError, MessError } from './errors.ts'
import { type Message, type Origin, type Read, Walk } from './message.ts'

/** Stored data that could not be handed to the handler, or made it throw. */
export interface RawMessage {
  readonly raw: unknown
  readonly offset: number
  /** Right behind it. */
  readonly cursor: Cursor
}

/** What becomes of a message whose handler threw or that does not fit the schema. */
export type Verdict = 'skip' | 'stop' | { readonly retryInMs: number }

export interface ConsumerOptions<T> {
  readonly handler: (message: Message<T>) => unknown
  readonly read: Read<T>
  readonly onGap: ((gap: Gap) => unknown) | undefined
  readonly onError: ((error: MessError, message: RawMessage) => Verdict) | undefined
  readonly own: (publisher: string) => boolean
  /** Everything up to here has been handled: `cursor` after each wait, `through` (a byte position) after each batch. */
  readonly handled: (cursor: Cursor, through: number | undefined) => void
  readonly report: (error: MessError) => void
  readonly later: (task: () => void, ms: number) => void
  readonly stop: (error?: MessError) => void
}

type Item =
  | { readonly walk: Walk; readonly epoch: string; readonly next: number; readonly through: number }
  | { readonly gap: Gap; readonly epoch: string; readonly through: number | undefined }

/**
 * Hands received messages to a handler, one after the other. A handler that answers with a promise is waited for; that is the
 * back-pressure, since credit is given back only for what has been handled. What is queued is bounded by the credit.
 */
export class Consumer<T> {
  readonly #options: ConsumerOptions<T>
  readonly #items: Item[] = []
  #busy = false
  #stopped = false
  #rested: (() => void) | undefined
  #cursor: Cursor | undefined

  constructor(options: ConsumerOptions<T>) {
    this.#options = options
  }

  /** Behind the newest message that was handled. */
  get cursor(): Cursor | undefined {
    return this.#cursor
  }

  start(cursor: Cursor): void {
    this.#cursor ??= cursor
  }

  batch(batch: DeliverParams, epoch: string): void {
    const origin: Origin = { epoch, own: this.#options.own }
    this.#items.push({ walk: new Walk(batch, origin), epoch, next: batch.next, through: batch.through })
    this.#run()
  }

  gap(gap: Gap, epoch: string, through: number | undefined): void {
    this.#items.push({ gap, epoch, through })
    this.#run()
  }

  /** No handler starts after this. What was handled stays so; the message at hand does not count. */
  stop(): void {
    this.#note()
    this.#stopped = true
    this.#items.length = 0
  }

  /** As stopping, but that the message at hand still counts; `rested` is called once it is done with. */
  rest(rested: () => void): void {
    this.#note()
    this.#rested = rested
    if (!this.#busy) this.#run()
  }

  #note(): void {
    const [item] = this.#items
    if (item && 'walk' in item) this.#moved(makeCursor(item.epoch, item.walk.offset), undefined)
  }

  #run(): void {
    if (this.#busy) return
    this.#busy = true
    while (!this.#stopped) {
      if (this.#rested) {
        this.#stopped = true
        this.#rested()
        return
      }
      const item = this.#items[0]
      if (!item) break
      const waiting = 'gap' in item ? this.#runGap(item) : this.#runBatch(item)
      if (waiting) return
    }
    this.#busy = false
  }

  /** @returns true if it waits and will go on by itself */
  #runBatch({ walk, epoch, next, through }: Extract<Item, { walk: Walk }>): boolean {
    const { handler, read } = this.#options
    while (!walk.done) {
      if (this.#stopped) return false
      try {
        const pending = handler(walk.message(read))
        if (isThenable(pending)) {
          pending.then(
            () => this.#passed(walk, epoch),
            (error: unknown) => this.#threw(error, walk, epoch),
          )
          return true
        }
      } catch (error) {
        return this.#judge(error, walk, epoch)
      }
      walk.next()
    }
    this.#items.shift()
    this.#moved(makeCursor(epoch, next), through)
    return false
  }

  #moved(cursor: Cursor, through: number | undefined): void {
    if (this.#stopped) return
    this.#cursor = cursor
    this.#options.handled(cursor, through)
  }

  /** The message at hand is done with. */
  #passed(walk: Walk, epoch: string): void {
    walk.next()
    this.#moved(makeCursor(epoch, walk.offset), undefined)
    this.#resume()
  }

  #resume(): void {
    this.#busy = false
    this.#run()
  }

  #threw(error: unknown, walk: Walk, epoch: string): void {
    if (!this.#judge(error, walk, epoch)) this.#resume()
  }

  /** @returns true if it waits and will go on by itself */
  #judge(cause: unknown, walk: Walk, epoch: string): boolean {
    if (this.#stopped) return false
    const error =
      cause instanceof MessError
        ? cause
        : new MessError('handler_failed', `The handler of message ${walk.offset} threw`, { scope: 'message', cause })
    const message = { raw: walk.raw, offset: walk.offset, cursor: makeCursor(epoch, walk.offset + 1) }
    const verdict = this.#ask(error, message)
    if (verdict === 'stop') {
      this.#options.stop(error)
      return false
    }
    if (typeof verdict === 'object' && verdict.retryInMs >= 0) {
      this.#options.later(() => this.#resume(), verdict.retryInMs)
      return true
    }
    walk.next()
    this.#moved(message.cursor, undefined)
    return false
  }

  #ask(error: MessError, message: RawMessage): Verdict {
    const { onError, report } = this.#options
    if (!onError) {
      report(error)
      return 'skip'
    }
    try {
      return onError(error, message)
    } catch (cause) {
      report(new MessError('handler_failed', 'onError threw', { cause }))
      return 'skip'
    }
  }

  /** @returns true if it waits and will go on by itself */
  #runGap({ gap, epoch, through }: Extract<Item, { gap: Gap }>): boolean {
    const { onGap, report } = this.#options
    const done = (): void => {
      this.#items.shift()
      this.#moved(makeCursor(epoch, gap.to), through)
    }
    const failed = (cause: unknown): void => {
      if (cause instanceof GapError) this.#options.stop(cause)
      else report(new MessError('handler_failed', 'onGap threw', { cause }))
    }
    if (!onGap) report(new GapError(gap))
    else {
      try {
        const pending = onGap(gap)
        if (isThenable(pending)) {
          pending.then(undefined, failed).then(() => {
            if (!this.#stopped) done()
            this.#resume()
          })
          return true
        }
      } catch (cause) {
        failed(cause)
      }
    }
    if (!this.#stopped) done()
    return false
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}
