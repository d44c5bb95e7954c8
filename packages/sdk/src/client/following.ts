import { encodeNotification } from '../protocol/codec.ts'
import { type Cursor, makeCursor, parseCursor } from '../protocol/cursor.ts'
import type { DeliverParams } from '../protocol/frames/deliver.ts'
import type { From, SubscribeResult } from '../protocol/frames/subscribe.ts'
import { trouble } from './errors.ts'
import { isDeliver, isGap, isSubscribed } from './guards.ts'
import type { Line } from './line.ts'
import type { Subscriber } from './session-events.ts'

interface Subscribed {
  readonly by: Subscriber
  /** Where it is asked for: the cursor behind the newest message received, once there is one. */
  from: From
  /** Its number on this link; 0 while it has none. */
  id: number
  /** The home has said where it starts. */
  on: boolean
  epoch: string
  next: number
  /** Bytes that it was asked for with. */
  window: number
  /** Byte positions of the log: received, handled, and where the newest grant was counted from. */
  received?: number | undefined
  handled?: number | undefined
  granted?: number | undefined
  /** Byte positions from before say nothing of those here: no credit can be given back, so once all is handled a whole window is asked for. */
  lost?: boolean
}

/**
 * The subscriptions of a session. Each goes on, link after link, where the last message was received; what does not fit to that
 * position is not taken but asked for again. Credit is given back for what was handled, in byte positions of the log.
 */
export class Following {
  readonly #line: Line
  readonly #subscriptions = new Map<Subscriber, Subscribed>()
  #lastId = 0
  /** When those that the home turned away for now are asked for again. */
  dueAt = Number.POSITIVE_INFINITY

  constructor(line: Line) {
    this.#line = line
  }

  get size(): number {
    return this.#subscriptions.size
  }

  add(by: Subscriber, from: From): void {
    const subscription: Subscribed = { by, from, id: 0, on: false, epoch: '', next: 0, window: 0 }
    this.#subscriptions.set(by, subscription)
    if (this.#line.online) this.#ask(subscription)
  }

  remove(by: Subscriber): void {
    const subscription = this.#subscriptions.get(by)
    this.#subscriptions.delete(by)
    if (subscription?.id && this.#line.online) this.#leave(subscription)
  }

  /** The link is new, or there may be room by now for those that the home turned away. */
  resume(): void {
    this.dueAt = Number.POSITIVE_INFINITY
    for (const subscription of this.#subscriptions.values()) if (!subscription.id) this.#ask(subscription)
  }

  /** The link is gone, and with it what is still said on it. */
  reset(): void {
    for (const subscription of this.#subscriptions.values()) {
      subscription.id = 0
      subscription.on = false
    }
  }

  #ask(subscription: Subscribed): void {
    const { by, from, received = 0, handled = 0 } = subscription
    const id = ++this.#lastId
    const { creditBytes } = this.#line.limits
    const window = Math.min(creditBytes, Math.max(0, creditBytes - received + handled))
    Object.assign(subscription, { id, window, on: false })
    this.#line.ask('subscribe', { topic: this.#line.topic, subscription: id, from, window }, (result, error) => {
      if (this.#subscriptions.get(by) !== subscription || subscription.id !== id) return
      if (error?.retryAfterMs) {
        // Not now: whatever else the link is for goes on meanwhile.
        subscription.id = 0
        this.dueAt = this.#line.now + error.retryAfterMs
      } else if (error?.retryable) this.#line.lose(error)
      // Only over a gap does it go on elsewhere: nothing is left out, or told again, without a word.
      else if (error || !isSubscribed(result) || (!result.gap && result.cursor !== from && parseCursor(from))) {
        this.#subscriptions.delete(by)
        this.#line.emit({ name: 'subscribe-failed', by, error: error ?? trouble('bad_frame') })
      } else this.#start(subscription, result)
    })
  }

  #leave({ id }: Subscribed): void {
    this.#line.ask('unsubscribe', { topic: this.#line.topic, subscription: id }, () => {})
  }

  /** Frames are missing: ask for them, under a number that no older frame bears. */
  #again(subscription: Subscribed): void {
    this.#leave(subscription)
    this.#ask(subscription)
  }

  #start(subscription: Subscribed, { cursor, head, gap }: SubscribeResult): void {
    const { by, window } = subscription
    const { epoch, offset } = parseCursor(cursor) as { epoch: string; offset: number }
    if (epoch !== subscription.epoch) subscription.received = subscription.handled = undefined
    const narrow = window < this.#line.limits.creditBytes
    // Replay may start inside a row, and the window counts from the row's start, which this side does not know: the first
    // grant comes as soon as something was handled.
    subscription.granted = offset < head || narrow ? Number.NEGATIVE_INFINITY : undefined
    subscription.on = true
    if (gap) this.#line.emit({ name: 'gap', by, epoch, gap, through: undefined })
    this.#moved(subscription, epoch, offset)
    this.#line.emit({ name: 'started', by, epoch, next: offset, head })
    // A narrow window left room for what lay unhandled then. Some of it may be handled by now; in another log all of it is void. Nor does
    // anybody say how long that is which may not be read.
    subscription.lost = narrow && (subscription.lost || !!gap)
    if (narrow) this.#grant(subscription)
  }

  #moved(subscription: Subscribed, epoch: string, next: number): void {
    subscription.epoch = epoch
    subscription.next = next
    subscription.from = makeCursor(epoch, next)
  }

  /** @param size characters of the whole frame */
  deliver(batch: unknown, size: number): void {
    if (!isDeliver(batch)) return
    const subscription = this.#at(batch)
    if (!subscription || batch.next === batch.first) return
    const { by, epoch } = subscription
    // What the window was counted from is known only roughly: a UTF-16 unit makes up to 3 bytes.
    subscription.granted ??= batch.through - 3 * size
    subscription.handled ??= batch.through - size
    subscription.received = batch.through
    this.#moved(subscription, epoch, batch.next)
    this.#line.emit({ name: 'batch', by, epoch, batch })
  }

  gap(params: unknown): void {
    if (!isGap(params)) return
    const { from, to, reason, through } = params
    const subscription = this.#at({ subscription: params.subscription, first: from })
    if (!subscription) return
    const { by, epoch } = subscription
    // What is not sent needs no credit: with nothing received before, nothing waits to be handled.
    subscription.handled ??= through
    subscription.received = through
    this.#moved(subscription, epoch, to)
    this.#line.emit({ name: 'gap', by, epoch, gap: { from, to, reason }, through })
  }

  /** The subscription that stands where a range starts. One that stands elsewhere misses something. */
  #at({ subscription: id, first }: Pick<DeliverParams, 'subscription' | 'first'>): Subscribed | undefined {
    for (const subscription of this.#subscriptions.values()) {
      if (subscription.id !== id || !subscription.on) continue
      if (subscription.next === first) return subscription
      this.#again(subscription)
    }
    return undefined
  }

  handled(by: Subscriber, cursor: Cursor, through: number): void {
    const subscription = this.#subscriptions.get(by)
    // Byte positions of another epoch are another log's.
    if (!subscription || !cursor.startsWith(subscription.epoch) || through <= (subscription.handled ?? 0)) return
    subscription.handled = through
    this.#grant(subscription)
  }

  /** Give back the credit of what was handled, half a window at a time. */
  #grant(subscription: Subscribed): void {
    const { id, on, received, handled, granted = 0, lost } = subscription
    const window = this.#line.limits.creditBytes
    if (!on) return
    if (lost && received === handled) this.#again(subscription)
    if (lost || handled === undefined || handled - granted < window / 2) return
    subscription.granted = handled
    const credit = { topic: this.#line.topic, subscription: id, through: handled + window }
    this.#line.emit({ name: 'send', text: encodeNotification('credit', credit) })
  }
}
