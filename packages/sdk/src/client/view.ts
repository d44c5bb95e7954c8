import { soon } from '../platform.ts'
import { makeCursor } from '../protocol/cursor.ts'
import type { DeliverParams } from '../protocol/frames/deliver.ts'
import type { GapFacts } from '../protocol/frames/subscribe.ts'
import { MessError } from './errors.ts'
import { type Message, type Read, type Received, Walk } from './message.ts'
import type { OwnWatcher } from './outbox.ts'
import type { Subscriber } from './session-events.ts'
import type { ReplicaOptions, TopicChannel, TopicHost } from './topic.ts'
import { Watching } from './watching.ts'

/** An own message that is not stored at its home: on its way, or set aside (`error` says why). */
export interface Pending<I> {
  readonly data: I
  readonly id: string
  readonly key: string | undefined
  readonly pending: true
  readonly error: MessError | undefined
}

/** A message as a view shows it. */
export type Shown<I, O> = (Message<O> & { readonly pending: false }) | Pending<I>

/** What keeps a view's stored messages coming. */
export interface Feed {
  stop(): void
}

export interface FeedEvents {
  /** Forget what there was; it goes on here. */
  reset(next: number): void
  /** Answers with a promise where there is more to wait for than the call. */
  add(received: Received, epoch: string): unknown
  failed(error: MessError): void
  /** There is no copy any more. */
  ended(): void
}

interface Waiting<I> extends Pending<I> {
  /** Where it is stored, once that is known. */
  readonly ackedAt?: number
}

/**
 * One list of what is stored and what is on its way. An own message keeps its id through all of it: the stored one takes the place
 * of the waiting one in the same change of the list, whichever of ack and delivery comes first.
 */
export class Viewing<I, O> implements OwnWatcher, FeedEvents {
  readonly #host: TopicHost
  readonly #topic: string
  readonly #read: Read<O>
  readonly #last: number
  readonly #listener: (list: readonly Shown<I, O>[]) => void
  #stored: (Message<O> & { readonly pending: false })[] = []
  readonly #ids = new Set<string>()
  #next = 0
  readonly #waiting = new Map<string, Waiting<I>>()
  #feed: Feed | undefined
  #telling = false
  #stopped = false

  constructor(
    host: TopicHost,
    topic: string,
    options: { read: Read<O>; last: number; listener: (list: readonly Shown<I, O>[]) => void },
  ) {
    this.#host = host
    this.#topic = topic
    this.#read = options.read
    this.#last = options.last
    this.#listener = options.listener
  }

  /** @param ends each of them does */
  async start(replica: ReplicaOptions | undefined, ends: (AbortSignal | undefined)[]): Promise<void> {
    const host = this.#host
    const signal = AbortSignal.any(ends.filter((end) => end !== undefined))
    if (signal.aborted) return
    const unwatch = host.watch(this.#topic, host.own ? new OpeningWatcher(this, host) : this, Watching)
    this.#feed =
      (replica && (await host.feed(this.#topic, { ...replica, last: this.#last }, this))) ??
      new TopicFeed(host.channel(this.#topic), this.#last, this)
    const stop = (): void => {
      this.#stopped = true
      unwatch()
      this.#feed?.stop()
    }
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
  }

  // ---- stored messages

  reset(next: number): void {
    this.#stored = []
    this.#ids.clear()
    this.#next = next
    this.#changed()
  }

  add(received: Received, epoch: string): void {
    // What was being opened comes later.
    if (this.#stopped) return
    const { outbox } = this.#host.channel(this.#topic)
    const walk = new Walk(received, { epoch, own: (publisher) => outbox.owns(publisher) })
    for (; !walk.done; walk.next()) {
      try {
        const message = walk.message(this.#read)
        this.#waiting.delete(message.id)
        this.#stored.push({ ...message, pending: false })
        this.#ids.add(message.id)
      } catch (error) {
        if (!(error instanceof MessError)) throw error
        this.#host.report(error)
      }
    }
    this.#next = received.next
    const over = this.#stored.length - this.#last
    if (over > 0) for (const { id } of this.#stored.splice(0, over)) this.#ids.delete(id)
    this.#sweep()
    this.#changed()
  }

  failed(error: MessError): void {
    this.#host.report(error)
  }

  ended(): void {
    // What is shown stays until there is something to show instead.
    if (!this.#stopped) this.#feed = new TopicFeed(this.#host.channel(this.#topic), this.#last, this, true)
  }

  // ---- own messages

  added(id: string, line: string, key: string | undefined): void {
    if (this.#waiting.has(id) || this.#ids.has(id)) return
    this.#waiting.set(id, { data: JSON.parse(line) as I, id, key, pending: true, error: undefined })
    this.#changed()
  }

  acked(id: string, offset: number | undefined): void {
    const waiting = this.#waiting.get(id)
    if (!waiting) return
    // Until it is delivered it stays where it is. One whose place is forgotten was trimmed long ago.
    if (offset === undefined || offset < this.#next) this.#waiting.delete(id)
    else this.#waiting.set(id, { ...waiting, ackedAt: offset })
    this.#changed()
  }

  refused(id: string, error: MessError): void {
    const waiting = this.#waiting.get(id)
    if (!waiting) return
    this.#waiting.set(id, { ...waiting, error })
    this.#changed()
  }

  forgotten(id: string): void {
    if (this.#waiting.delete(id)) this.#changed()
  }

  /** What the list has passed will not come any more. */
  #sweep(): void {
    for (const [id, { ackedAt }] of this.#waiting) {
      if (ackedAt !== undefined && ackedAt < this.#next) this.#waiting.delete(id)
    }
  }

  /** Many things change at once; the listener is called once. */
  #changed(): void {
    if (this.#telling || this.#stopped) return
    this.#telling = true
    soon(() => {
      this.#telling = false
      if (!this.#stopped) this.#listener([...this.#stored, ...[...this.#waiting.values()].map(shown)])
    })
  }
}

/** Opens own messages before they are shown, and keeps what is told of them in order. */
class OpeningWatcher implements OwnWatcher {
  readonly #watcher: OwnWatcher
  readonly #host: TopicHost
  #last: Promise<void> = Promise.resolve()

  constructor(watcher: OwnWatcher, host: TopicHost) {
    this.#watcher = watcher
    this.#host = host
  }

  added(id: string, line: string, key: string | undefined): void {
    const opening = this.#host.own?.(line, key)
    opening?.catch(() => {})
    this.#next(async () => this.#watcher.added(id, (await opening) as string, key))
  }

  acked(id: string, offset: number | undefined): void {
    this.#next(() => this.#watcher.acked(id, offset))
  }

  refused(id: string, error: MessError): void {
    this.#next(() => this.#watcher.refused(id, error))
  }

  forgotten(id: string): void {
    this.#next(() => this.#watcher.forgotten(id))
  }

  #next(step: () => void | Promise<void>): void {
    this.#last = this.#last.then(step).catch((cause: unknown) => {
      const error = new MessError('cipher_failed', 'An own message does not open', { scope: 'message', cause })
      this.#host.report(cause instanceof MessError ? cause : error)
    })
  }
}

const shown = <I>({ data, id, key, error }: Waiting<I>): Pending<I> => ({ data, id, key, pending: true, error })

/** The newest messages of a topic of which there is no copy here. */
class TopicFeed implements Subscriber, Feed {
  readonly #channel: TopicChannel
  readonly #events: FeedEvents

  #anew: boolean

  /** @param anew in the place of something else */
  constructor(channel: TopicChannel, last: number, events: FeedEvents, anew = false) {
    this.#channel = channel
    this.#events = events
    this.#anew = anew
    channel.post({ name: 'subscribe', by: this, from: { last } })
  }

  started({ next }: { next: number }): void {
    if (this.#anew) this.#events.reset(next)
    this.#anew = false
  }

  batch(batch: DeliverParams, epoch: string): void {
    this.#events.add(batch, epoch)
    this.#channel.post({ name: 'handled', by: this, cursor: makeCursor(epoch, batch.next), through: batch.through })
  }

  gap({ to }: GapFacts): void {
    this.#events.reset(to)
  }

  failed(error: MessError): void {
    this.#events.failed(error)
  }

  stop(): void {
    this.#channel.post({ name: 'unsubscribe', by: this })
  }
}
