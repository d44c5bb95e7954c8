import { Alarm, elapsed, soon } from '../platform.ts'
import { type Cursor, makeCursor } from '../protocol/cursor.ts'
import type { DeliverParams } from '../protocol/frames/deliver.ts'
import { Consumer } from './consumer.ts'
import type { CursorStore } from './cursors.ts'
import { type Gap, MessError } from './errors.ts'
import type { Message, Read } from './message.ts'
import type { Subscriber } from './session-events.ts'
import type { SubscribeOptions, TopicChannel, TopicHost } from './topic.ts'

type From = NonNullable<SubscribeOptions['from']>

/** A running subscription. */
export interface Subscription extends Disposable {
  readonly state: 'starting' | 'catching-up' | 'live' | 'paused' | 'stopped'
  /** Behind the newest handled message; `undefined` until it has started. */
  readonly cursor: Cursor | undefined
  /** Resolves with the position at which it started, which its home has fixed; rejects if it cannot start. */
  readonly ready: Promise<{ cursor: Cursor }>
  /** Resolves when it was stopped; rejects with the error that ended it. */
  readonly done: Promise<void>
  /** No handler starts after this. Idempotent. */
  stop(): void
}

export interface SubscriptionSetup<T> {
  readonly host: TopicHost
  readonly topic: string
  readonly handler: (message: Message<T>) => unknown
  readonly read: Read<T>
  readonly options: SubscribeOptions
}

export class Subscribing<T> implements Subscription, Subscriber {
  readonly ready: Promise<{ cursor: Cursor }>
  readonly done: Promise<void>
  readonly #setup: SubscriptionSetup<T>
  #consumer: Consumer<T>
  #started!: (start: { cursor: Cursor }) => void
  #neverStarted!: (error: MessError) => void
  #end!: () => void
  #fail!: (error: MessError) => void
  #stopped = false
  /** Where the log ended when this link was told. */
  #head: Cursor | undefined
  readonly #channel: TopicChannel
  #cursors: CursorStore | undefined
  #release: (() => void) | undefined
  readonly #retry = new Alarm(() => this.#again?.())
  #again: (() => void) | undefined
  readonly #onAbort = (): void => this.stop()

  constructor(setup: SubscriptionSetup<T>) {
    this.#setup = setup
    this.ready = new Promise((resolve, reject) => {
      this.#started = resolve
      this.#neverStarted = reject
    })
    this.done = new Promise((resolve, reject) => {
      this.#end = resolve
      this.#fail = reject
    })
    // Nobody has to look at either.
    this.ready.catch(() => {})
    this.done.catch(() => {})
    const { host, topic, options } = setup
    this.#channel = host.channel(topic)
    this.#consumer = this.#consume()
    if (options.signal?.aborted) this.stop()
    else {
      options.signal?.addEventListener('abort', this.#onAbort)
      this.#begin()
    }
  }

  #consume(): Consumer<T> {
    const { host, handler, read, options } = this.#setup
    return new Consumer<T>({
      handler,
      read,
      onGap: options.onGap,
      onError: options.onError,
      own: (publisher) => this.#channel.outbox.owns(publisher),
      handled: (cursor, through) => this.#handled(cursor, through),
      report: (error) => host.report(error),
      later: (task, ms) => this.#later(task, ms),
      stop: (error) => this.#finish(error),
    })
  }

  get cursor(): Cursor | undefined {
    return this.#consumer.cursor
  }

  get state(): Subscription['state'] {
    if (this.#stopped) return 'stopped'
    if (!this.#head) return 'starting'
    if (this.#channel.reach.state !== 'online') return 'paused'
    const cursor = this.#consumer.cursor
    return cursor !== undefined && cursor >= this.#head ? 'live' : 'catching-up'
  }

  stop(): void {
    this.#finish(undefined)
  }

  [Symbol.dispose](): void {
    this.stop()
  }

  #begin(): void {
    const { topic, options } = this.#setup
    const { resume, from = 'now' } = options
    // Later, also where the home would answer at once: no handler runs before its caller has the handle.
    if (resume === undefined) soon(() => this.#open(from))
    else this.#hold(topic, resume, from).catch((error: MessError) => this.#finish(error))
  }

  async #hold(topic: string, resume: string, from: From): Promise<void> {
    const cursors = await this.#setup.host.cursors()
    const release = await cursors.hold(topic, resume, () => this.#away())
    if (!release) throw new MessError('resume_in_use', `Another subscription resumes as "${resume}"`)
    this.#cursors = cursors
    this.#release = release
    if (this.#stopped) return release()
    const saved = await cursors.load(topic, resume)
    if (this.#release === release) this.#open(saved ?? from)
  }

  /** The name is anybody's until the page is back, when this begins again where the last holder stopped. */
  #away(): void {
    this.#release = this.#head = undefined
    this.#channel.post({ name: 'unsubscribe', by: this })
    this.#consumer.rest(() => {
      this.#consumer = this.#consume()
      this.#begin()
    })
  }

  #open(from: From): void {
    if (!this.#stopped) this.#channel.post({ name: 'subscribe', by: this, from })
  }

  started({ epoch, next, head }: { epoch: string; next: number; head: number }): void {
    const cursor = makeCursor(epoch, next)
    this.#head = makeCursor(epoch, head)
    this.#consumer.start(cursor)
    // Where it began is where it goes on if it stops before the first message.
    if (this.#consumer.cursor === cursor) this.#save(cursor)
    this.#started({ cursor })
  }

  batch(batch: DeliverParams, epoch: string): void {
    this.#consumer.batch(batch, epoch)
  }

  gap(gap: Gap, epoch: string, through: number | undefined): void {
    this.#consumer.gap(gap, epoch, through)
  }

  failed(error: MessError): void {
    this.#finish(error)
  }

  #handled(cursor: Cursor, through: number | undefined): void {
    this.#save(cursor)
    if (through !== undefined) this.#channel.post({ name: 'handled', by: this, cursor, through })
  }

  #save(cursor: Cursor): void {
    const { topic, options } = this.#setup
    if (options.resume !== undefined) this.#cursors?.save(topic, options.resume, cursor)
  }

  #later(task: () => void, ms: number): void {
    this.#again = task
    this.#retry.set(elapsed() + ms)
  }

  #finish(error: MessError | undefined): void {
    if (this.#stopped) return
    this.#stopped = true
    this.#consumer.stop()
    this.#channel.post({ name: 'unsubscribe', by: this })
    this.#release?.()
    this.#retry.clear()
    const { host, options } = this.#setup
    options.signal?.removeEventListener('abort', this.#onAbort)
    this.#neverStarted(error ?? new MessError('stopped', 'Stopped before it started'))
    if (error) {
      host.report(error)
      this.#fail(error)
    } else this.#end()
  }
}
