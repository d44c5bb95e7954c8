import { encodeNotification, encodePublish, encodeRequest, type Frame } from '../protocol/codec.ts'
import { type Cursor, makeCursor, parseCursor } from '../protocol/cursor.ts'
import { type ErrorCode, ERRORS, type Fault, fault } from '../protocol/error-codes.ts'
import type { DeliverParams, GapParams } from '../protocol/frames/deliver.ts'
import type { HelloResult } from '../protocol/frames/hello.ts'
import type { HistoryParams, HistoryResult } from '../protocol/frames/history.ts'
import type { Fate, PublishResult } from '../protocol/frames/publish.ts'
import type { From, GapFacts, SubscribeResult } from '../protocol/frames/subscribe.ts'
import { LIMITS } from '../protocol/limits.ts'
import { HEARTBEAT, PROTOCOL } from '../protocol/version.ts'
import { isDeliver, isGap, isHello, isHistory, isPublished, isSubscribed } from './guards.ts'
import { knownCode } from './errors.ts'
import type { Batch, Publisher } from './publisher.ts'

/**
 * The client's end of one topic's link. It outlives single connections: what was subscribed is subscribed again where it
 * stopped, what was published and not acked is published again, what was asked is asked again.
 *
 *     idle ─(wanted)─▶ asking ─(token)─▶ opening ─(opened)─▶ greeting ─(hello answered)─▶ online
 *      ▲                 ▲  ▲                │                   │                          │
 *      └──(not wanted)   │  └────────────── waiting ◀─(lost)─────┴──────────────────────────┘
 *                        └─(hint)─ stuck ◀─(token refused twice, or a refusal that asking again cannot change)
 *
 * Every connection has a generation; whatever an older one still says matches nothing.
 */
export type Connection = 'idle' | 'asking' | 'opening' | 'greeting' | 'online' | 'waiting' | 'stuck' | 'closed'

export type SessionEvent =
  | { readonly name: 'opened'; readonly generation: number }
  | { readonly name: 'heard'; readonly generation: number; readonly frame: Frame | 'heartbeat' | undefined; readonly size: number }
  | { readonly name: 'lost'; readonly generation: number; readonly code?: number }
  | { readonly name: 'token'; readonly token: string | undefined }
  | { readonly name: 'token-failed'; readonly error: unknown }
  | { readonly name: 'subscribe'; readonly key: number; readonly from: From }
  | { readonly name: 'unsubscribe'; readonly key: number }
  /** The consumer has handled everything up to this cursor, which is this byte position of the log. */
  | { readonly name: 'handled'; readonly key: number; readonly cursor: Cursor; readonly through: number }
  /** There is something new in the publisher. */
  | { readonly name: 'publish' }
  /** The refusals that were reported are recorded; what stands behind them may go on. */
  | { readonly name: 'noted' }
  | { readonly name: 'history'; readonly key: number; readonly params: Omit<HistoryParams, 'topic'> }
  | { readonly name: 'forget-history'; readonly key: number }
  | { readonly name: 'due' }
  | { readonly name: 'hint' }
  | { readonly name: 'close' }

export type SessionEffect =
  | { readonly name: 'ask-token'; readonly why: 'first' | 'expiring' | 'refused' }
  | { readonly name: 'open'; readonly generation: number; readonly token: string | undefined }
  | { readonly name: 'send'; readonly text: string }
  | { readonly name: 'hang-up' }
  | { readonly name: 'wake-at'; readonly at: number }
  | { readonly name: 'connection'; readonly state: Connection; readonly error: Fault | undefined }
  | { readonly name: 'started'; readonly key: number; readonly epoch: string; readonly next: number; readonly head: number }
  | { readonly name: 'batch'; readonly key: number; readonly epoch: string; readonly batch: DeliverParams }
  | { readonly name: 'gap'; readonly key: number; readonly epoch: string; readonly gap: GapFacts; readonly through?: number }
  | { readonly name: 'subscribe-failed'; readonly key: number; readonly error: Fault }
  /** Fates of published messages, in order. After a refusal nothing is sent until `noted`. */
  | { readonly name: 'fates'; readonly epoch: string; readonly fates: readonly Fate[] }
  /** The home does not know this publisher any more; whether its unacked messages are stored cannot be told. */
  | { readonly name: 'publisher-lost'; readonly error: Fault }
  | { readonly name: 'page'; readonly key: number; readonly page: HistoryResult }
  | { readonly name: 'page-failed'; readonly key: number; readonly error: Fault }

export interface SessionOptions {
  readonly topic: string
  /** The user the client was made for; a link of another user is given up before anything is sent. */
  readonly user?: string | undefined
  readonly publisher: () => Publisher
  readonly random: () => number
  readonly reconnect?: { readonly minMs: number; readonly maxMs: number } | undefined
}

/** Waits and patience, in ms. Each is far above what a healthy link needs. */
const WAITS = { openMs: 15_000, answerMs: 10_000, graceMs: 10_000, lingerMs: 5_000, stuckMs: 30_000, renewMs: 60_000, minMs: 500, maxMs: 20_000 } as const
/** Publish frames on their way hold at most this much, whatever the window says. */
const PUBLISH_BYTES = 4 * LIMITS.frameBytes
/** Room for the head of a publish frame, ids and keys included. */
const HEAD_BYTES = 4_096

interface Subscribed {
  readonly key: number
  from: From
  /** Its number on this link, while it is asked for or on. */
  id: number | undefined
  phase: 'off' | 'asked' | 'on'
  epoch: string
  next: number
  /** Bytes that it was asked for with. */
  window: number
  /** Byte positions of the log: received, handled, and where the newest grant was counted from. */
  received: number | undefined
  handled: number | undefined
  granted: number | undefined
}

type Pending =
  | { readonly name: 'hello' | 'authenticate' }
  | { readonly name: 'subscribe'; readonly key: number }
  | { readonly name: 'unsubscribe' }
  | { readonly name: 'history'; readonly key: number }
  | Publishing

interface Publishing {
  readonly name: 'publish'
  readonly publisher: string
  readonly batch: Batch
  readonly sentAt: number
  readonly again: boolean
}

export class Session {
  readonly #options: SessionOptions
  #state: Connection = 'idle'
  #generation = 0
  #attempts = 0
  #requestId = 0
  #subscriptionId = 0
  #pending = new Map<number, Pending>()
  #unackedCount = 0
  #unackedBytes = 0
  /** After a refusal or a hole nothing is published until every answer is in and the refusal is recorded. */
  #hold: 'no' | 'answers' | 'note' = 'no'
  #holdUntil = 0
  readonly #subscriptions = new Map<number, Subscribed>()
  readonly #histories = new Map<number, Omit<HistoryParams, 'topic'>>()

  #heartbeatMs: number | undefined
  #heardAt = 0
  #beatAt = 0
  #retryAt = 0
  #openedAt = 0
  #onlineAt = 0
  #renewAt = Number.POSITIVE_INFINITY
  #lingerAt = Number.POSITIVE_INFINITY
  #tokenRefused = false
  #stuckAt = 0
  #limits: HelloResult['limits'] = LIMITS

  constructor(options: SessionOptions) {
    this.#options = options
  }

  get state(): Connection {
    return this.#state
  }

  step(event: SessionEvent, nowMs: number): SessionEffect[] {
    if (this.#state === 'closed') return []
    switch (event.name) {
      case 'opened':
        return event.generation === this.#generation && this.#state === 'opening' ? this.#greet(nowMs) : []
      case 'heard':
        return event.generation === this.#generation ? this.#heard(event.frame, event.size, nowMs) : []
      case 'lost':
        return event.generation === this.#generation && this.#linked ? this.#lost(nowMs, undefined, event.code) : []
      case 'token':
        return this.#token(event.token, nowMs)
      case 'token-failed':
        return this.#tokenFailed(nowMs)
      case 'subscribe':
        return this.#subscribe(event.key, event.from, nowMs)
      case 'unsubscribe':
        return this.#unsubscribe(event.key, nowMs)
      case 'handled':
        return this.#handled(event.key, event.cursor, event.through)
      case 'publish':
        return [...this.#want(nowMs), ...this.#publish(nowMs)]
      case 'noted':
        if (this.#hold === 'note') this.#hold = 'answers'
        return this.#publish(nowMs)
      case 'history':
        this.#histories.set(event.key, event.params)
        return [...this.#want(nowMs), ...(this.#state === 'online' ? this.#askHistory(event.key, event.params) : [])]
      case 'forget-history':
        this.#histories.delete(event.key)
        return this.#linger(nowMs)
      case 'due':
        return this.#due(nowMs)
      case 'hint':
        return this.#hint(nowMs)
      case 'close':
        return this.#close()
    }
  }

  get #linked(): boolean {
    return this.#state === 'opening' || this.#state === 'greeting' || this.#state === 'online'
  }

  get #wanted(): boolean {
    return this.#subscriptions.size > 0 || this.#histories.size > 0 || this.#options.publisher().size > 0
  }

  #enter(state: Connection, error?: Fault): SessionEffect[] {
    this.#state = state
    return [{ name: 'connection', state, error }]
  }

  // ---- getting a link

  #want(nowMs: number): SessionEffect[] {
    this.#lingerAt = Number.POSITIVE_INFINITY
    if (this.#state === 'idle') return this.#ask('first')
    if (this.#state === 'stuck') return this.#hint(nowMs)
    return []
  }

  #ask(why: 'first' | 'refused'): SessionEffect[] {
    return [...this.#enter('asking'), { name: 'ask-token', why }]
  }

  #token(token: string | undefined, nowMs: number): SessionEffect[] {
    if (this.#state === 'asking') {
      this.#openedAt = nowMs
      return [...this.#enter('opening'), { name: 'open', generation: ++this.#generation, token }, { name: 'wake-at', at: nowMs + WAITS.openMs }]
    }
    if (this.#state === 'online' && token !== undefined) {
      return [this.#request('authenticate', { token }, { name: 'authenticate' })]
    }
    return []
  }

  #tokenFailed(nowMs: number): SessionEffect[] {
    if (this.#state === 'asking') return this.#wait(nowMs, fault('token_unavailable'))
    if (this.#state !== 'online') return []
    // The old token still holds; ask again soon.
    this.#renewAt = nowMs + WAITS.answerMs
    return [{ name: 'wake-at', at: this.#renewAt }]
  }

  #greet(nowMs: number): SessionEffect[] {
    this.#heardAt = nowMs
    this.#openedAt = nowMs
    return [...this.#enter('greeting'), this.#request('hello', { versions: [PROTOCOL.current] }, { name: 'hello' }), { name: 'wake-at', at: nowMs + WAITS.openMs }]
  }

  #online(hello: HelloResult, nowMs: number): SessionEffect[] {
    if (this.#options.user !== undefined && hello.user !== undefined && hello.user !== this.#options.user) return this.#stuck(nowMs, fault('user_mismatch'))
    this.#tokenRefused = false
    this.#onlineAt = nowMs
    this.#limits = hello.limits
    this.#heartbeatMs = hello.heartbeatMs
    this.#beatAt = nowMs + (hello.heartbeatMs ?? 0)
    const effects = [...this.#enter('online'), ...this.#renewal(hello.expiresInMs, nowMs)]
    if (this.#heartbeatMs !== undefined) effects.push({ name: 'wake-at', at: this.#beatAt })
    for (const subscription of this.#subscriptions.values()) effects.push(this.#askSubscribe(subscription))
    for (const [key, params] of this.#histories) effects.push(...this.#askHistory(key, params))
    return [...effects, ...this.#publish(nowMs), ...this.#linger(nowMs)]
  }

  #renewal(expiresInMs: number | undefined, nowMs: number): SessionEffect[] {
    this.#renewAt = expiresInMs === undefined ? Number.POSITIVE_INFINITY : nowMs + expiresInMs - Math.min(WAITS.renewMs, expiresInMs / 5)
    return expiresInMs === undefined ? [] : [{ name: 'wake-at', at: this.#renewAt }]
  }

  // ---- losing it

  /** The link is gone; everything asked on it is asked again on the next one. */
  #unlink(): void {
    this.#generation++
    this.#pending.clear()
    this.#unackedCount = 0
    this.#unackedBytes = 0
    if (this.#hold === 'answers') this.#hold = 'no'
    this.#options.publisher().rewind()
    for (const subscription of this.#subscriptions.values()) off(subscription)
    this.#renewAt = this.#lingerAt = Number.POSITIVE_INFINITY
    this.#heartbeatMs = undefined
  }

  #lost(nowMs: number, reason: Fault | undefined, code?: number): SessionEffect[] {
    const hangUp: SessionEffect[] = [{ name: 'hang-up' }]
    if (reason?.code === 'token_expired' || reason?.code === 'token_invalid' || reason?.code === 'token_not_yet_valid' || reason?.code === 'token_missing') {
      this.#unlink()
      if (this.#tokenRefused) return [...hangUp, ...this.#stuck(nowMs, reason)]
      this.#tokenRefused = true
      return [...hangUp, ...this.#ask('refused')]
    }
    if (reason ? endsForGood(reason.code) : code !== undefined && code >= 4500 && code < 5000) {
      return this.#stuck(nowMs, reason ?? fault('forbidden', `the server closed the link for good (${code})`))
    }
    this.#unlink()
    if (!this.#wanted) return [...hangUp, ...this.#enter('idle')]
    return [...hangUp, ...this.#wait(nowMs, reason ?? fault('link_lost'))]
  }

  #wait(nowMs: number, reason: Fault): SessionEffect[] {
    const { minMs, maxMs } = this.#options.reconnect ?? WAITS
    // A link that held for a while was good; one that breaks at once may break again.
    if (this.#onlineAt > 0 && nowMs - this.#onlineAt > maxMs) this.#attempts = 0
    this.#onlineAt = 0
    const ceiling = Math.min(maxMs, minMs * 2 ** Math.min(this.#attempts++, 16))
    this.#retryAt = nowMs + Math.max(reason.retryAfterMs ?? 0, Math.ceil(this.#options.random() * ceiling))
    return [...this.#enter('waiting', reason), { name: 'wake-at', at: this.#retryAt }]
  }

  #stuck(nowMs: number, reason: Fault): SessionEffect[] {
    this.#unlink()
    this.#stuckAt = nowMs
    return [{ name: 'hang-up' }, ...this.#enter('stuck', reason)]
  }

  /** Somebody thinks that trying now is worth it. */
  #hint(nowMs: number): SessionEffect[] {
    if (this.#state === 'waiting') {
      this.#retryAt = nowMs
      return this.#due(nowMs)
    }
    if (this.#state === 'stuck' && nowMs - this.#stuckAt >= WAITS.stuckMs) {
      this.#tokenRefused = true
      return this.#ask('refused')
    }
    if (this.#state === 'online' && this.#heartbeatMs !== undefined) {
      this.#beatAt = nowMs
      return this.#due(nowMs)
    }
    return []
  }

  #close(): SessionEffect[] {
    const linked = this.#linked
    this.#unlink()
    return [...(linked ? [{ name: 'hang-up' } as const] : []), ...this.#enter('closed')]
  }

  // ---- time

  #due(nowMs: number): SessionEffect[] {
    if (this.#state === 'waiting') {
      if (!this.#wanted) return this.#enter('idle')
      return nowMs >= this.#retryAt ? this.#ask('first') : [{ name: 'wake-at', at: this.#retryAt }]
    }
    if (this.#state === 'opening' || this.#state === 'greeting') {
      return nowMs - this.#openedAt >= WAITS.openMs ? this.#lost(nowMs, fault('link_lost')) : [{ name: 'wake-at', at: this.#openedAt + WAITS.openMs }]
    }
    if (this.#state !== 'online') return []
    const effects: SessionEffect[] = []
    if (this.#lingerAt <= nowMs && !this.#wanted) return this.#lost(nowMs, undefined)
    const late = this.#lateAnswer(nowMs)
    if (late === 'lost') return this.#lost(nowMs, fault('link_lost'))
    effects.push(...late)
    if (this.#heartbeatMs !== undefined) {
      if (nowMs - this.#heardAt >= this.#heartbeatMs + WAITS.graceMs) return this.#lost(nowMs, fault('link_lost'))
      if (nowMs >= this.#beatAt) {
        this.#beatAt = nowMs + this.#heartbeatMs
        effects.push({ name: 'send', text: HEARTBEAT.ask })
      }
      effects.push({ name: 'wake-at', at: Math.min(this.#beatAt, this.#heardAt + this.#heartbeatMs + WAITS.graceMs) })
    }
    if (nowMs >= this.#renewAt) {
      this.#renewAt = Number.POSITIVE_INFINITY
      effects.push({ name: 'ask-token', why: 'expiring' })
    } else if (Number.isFinite(this.#renewAt)) effects.push({ name: 'wake-at', at: this.#renewAt })
    if (Number.isFinite(this.#lingerAt)) effects.push({ name: 'wake-at', at: this.#lingerAt })
    if (this.#holdUntil > nowMs) effects.push({ name: 'wake-at', at: this.#holdUntil })
    return [...effects, ...this.#publish(nowMs)]
  }

  /** A heartbeat proves the route and not the home: an unacked publish is sent again once, then the link is given up. */
  #lateAnswer(nowMs: number): SessionEffect[] | 'lost' {
    for (const pending of this.#pending.values()) {
      if (pending.name !== 'publish') continue
      if (nowMs - pending.sentAt < WAITS.answerMs) return [{ name: 'wake-at', at: pending.sentAt + WAITS.answerMs }]
      if (pending.again) return 'lost'
      return [this.#sendBatch(pending.batch, nowMs, true), { name: 'wake-at', at: nowMs + WAITS.answerMs }]
    }
    return []
  }

  #linger(nowMs: number): SessionEffect[] {
    if (this.#wanted || this.#state !== 'online') return []
    this.#lingerAt = nowMs + WAITS.lingerMs
    return [{ name: 'wake-at', at: this.#lingerAt }]
  }

  // ---- frames

  #request(method: string, params: object, pending: Pending): SessionEffect {
    const id = ++this.#requestId
    this.#pending.set(id, pending)
    return { name: 'send', text: encodeRequest(id, method, params) }
  }

  #heard(frame: Frame | 'heartbeat' | undefined, size: number, nowMs: number): SessionEffect[] {
    this.#heardAt = nowMs
    if (frame === 'heartbeat') return []
    if (!frame) return this.#lost(nowMs, fault('bad_json', 'the server sent what is no frame'))
    if (frame.method === 'deliver') return isDeliver(frame.params) ? this.#deliver(frame.params, size) : []
    if (frame.method === 'gap') return isGap(frame.params) ? this.#gap(frame.params) : []
    if (frame.method === 'goodbye') return this.#lost(nowMs, faultOf(frame.params))
    if (frame.method !== undefined) return []
    if (frame.id === null && frame.error) return this.#lost(nowMs, faultOf(frame.error.data, frame.error.message))
    const pending = typeof frame.id === 'number' ? this.#pending.get(frame.id) : undefined
    if (!pending) return []
    this.#pending.delete(frame.id as number)
    return frame.error ? this.#failed(pending, faultOf(frame.error.data, frame.error.message), nowMs) : this.#answered(pending, frame.result, nowMs)
  }

  #answered(pending: Pending, result: unknown, nowMs: number): SessionEffect[] {
    switch (pending.name) {
      case 'hello':
        return isHello(result) ? this.#online(result, nowMs) : this.#lost(nowMs, fault('bad_frame'))
      case 'authenticate':
        return this.#renewal((result as { expiresInMs?: number }).expiresInMs, nowMs)
      case 'subscribe':
        return isSubscribed(result) ? this.#started(pending.key, result) : []
      case 'unsubscribe':
        return []
      case 'history':
        if (!this.#histories.delete(pending.key)) return []
        return [
          isHistory(result) ? { name: 'page', key: pending.key, page: result } : { name: 'page-failed', key: pending.key, error: fault('bad_frame') },
          ...this.#linger(nowMs),
        ]
      case 'publish':
        return isPublished(result) ? this.#published(pending, result, nowMs) : this.#lost(nowMs, fault('bad_frame'))
    }
  }

  #failed(pending: Pending, error: Fault, nowMs: number): SessionEffect[] {
    switch (pending.name) {
      case 'hello':
      case 'authenticate':
        return this.#lost(nowMs, error)
      case 'subscribe':
        return this.#subscribeFailed(pending.key, error, nowMs)
      case 'unsubscribe':
        return []
      case 'history':
        if (ERRORS[error.code].retryable) return []
        this.#histories.delete(pending.key)
        return [{ name: 'page-failed', key: pending.key, error }, ...this.#linger(nowMs)]
      case 'publish':
        return this.#publishFailed(pending, error, nowMs)
    }
  }

  // ---- subscriptions

  #subscribe(key: number, from: From, nowMs: number): SessionEffect[] {
    const subscription: Subscribed = { key, from, id: undefined, phase: 'off', epoch: '', next: 0, window: 0, received: undefined, handled: undefined, granted: undefined }
    this.#subscriptions.set(key, subscription)
    return [...this.#want(nowMs), ...(this.#state === 'online' ? [this.#askSubscribe(subscription)] : [])]
  }

  #askSubscribe(subscription: Subscribed): SessionEffect {
    const { key, from, received, handled } = subscription
    subscription.id = ++this.#subscriptionId
    subscription.phase = 'asked'
    subscription.window = Math.max(0, this.#limits.creditBytes - ((received ?? 0) - (handled ?? 0)))
    const { id, window } = subscription
    return this.#request('subscribe', { topic: this.#options.topic, subscription: id, from, window }, { name: 'subscribe', key })
  }

  #started(key: number, { cursor, head, gap }: SubscribeResult): SessionEffect[] {
    const subscription = this.#subscriptions.get(key)
    if (!subscription) return []
    const { epoch, offset } = parseCursor(cursor) as { epoch: string; offset: number }
    if (epoch !== subscription.epoch) subscription.received = subscription.handled = undefined
    subscription.phase = 'on'
    const narrow = subscription.window < this.#limits.creditBytes
    // Replay may start inside a row, and the window counts from the row's start, which this side does not know: the first
    // grant comes as soon as something was handled.
    subscription.granted = offset < head || narrow ? Number.NEGATIVE_INFINITY : undefined
    const skipped: SessionEffect[] = gap ? [{ name: 'gap', key, epoch, gap }] : []
    this.#moved(subscription, epoch, offset)
    const started: SessionEffect[] = [...skipped, { name: 'started', key, epoch, next: offset, head }]
    if (!narrow) return started
    // The window was narrow for what lay unhandled then. Some of it may be handled by now; in another log all of it is void.
    return [...started, ...(subscription.handled === undefined ? this.#again(subscription) : this.#grant(subscription))]
  }

  #moved(subscription: Subscribed, epoch: string, next: number): void {
    subscription.epoch = epoch
    subscription.next = next
    subscription.from = makeCursor(epoch, next)
  }

  #deliver(batch: DeliverParams, size: number): SessionEffect[] {
    const subscription = this.#byId(batch.subscription)
    if (subscription?.phase !== 'on') return []
    // The range must start where this side stands; anything else means that frames are missing.
    if (batch.first !== subscription.next) return this.#again(subscription)
    if (batch.next === batch.first) return []
    // What the window was counted from is known only roughly: a UTF-16 unit makes up to 3 bytes.
    subscription.granted ??= batch.through - 3 * size
    subscription.handled ??= batch.through - size
    subscription.received = batch.through
    this.#moved(subscription, subscription.epoch, batch.next)
    return [{ name: 'batch', key: subscription.key, epoch: subscription.epoch, batch }]
  }

  #gap({ subscription: id, from, to, through, reason }: GapParams): SessionEffect[] {
    const subscription = this.#byId(id)
    if (subscription?.phase !== 'on') return []
    if (from !== subscription.next) return this.#again(subscription)
    subscription.received = through
    this.#moved(subscription, subscription.epoch, to)
    return [{ name: 'gap', key: subscription.key, epoch: subscription.epoch, gap: { from, to, reason }, through }]
  }

  #again(subscription: Subscribed): SessionEffect[] {
    const { topic } = this.#options
    const stop = this.#request('unsubscribe', { topic, subscription: subscription.id }, { name: 'unsubscribe' })
    return [stop, this.#askSubscribe(subscription)]
  }

  #subscribeFailed(key: number, error: Fault, nowMs: number): SessionEffect[] {
    const subscription = this.#subscriptions.get(key)
    if (!subscription) return []
    if (ERRORS[error.code].retryable) return this.#lost(nowMs, error)
    this.#subscriptions.delete(key)
    return [{ name: 'subscribe-failed', key, error }, ...this.#linger(nowMs)]
  }

  #handled(key: number, cursor: Cursor, through: number): SessionEffect[] {
    const subscription = this.#subscriptions.get(key)
    // Byte positions of another epoch are another log's.
    if (!subscription || !cursor.startsWith(subscription.epoch) || through <= (subscription.handled ?? 0)) return []
    subscription.handled = through
    return this.#grant(subscription)
  }

  /** Give back the credit of what was handled, half a window at a time. */
  #grant(subscription: Subscribed): SessionEffect[] {
    const { phase, handled: through, granted } = subscription
    const window = this.#limits.creditBytes
    if (phase !== 'on' || through === undefined || through - (granted ?? 0) < window / 2) return []
    subscription.granted = through
    return [{ name: 'send', text: encodeNotification('credit', { topic: this.#options.topic, subscription: subscription.id, through: through + window }) }]
  }

  #unsubscribe(key: number, nowMs: number): SessionEffect[] {
    const subscription = this.#subscriptions.get(key)
    this.#subscriptions.delete(key)
    if (subscription?.id === undefined || this.#state !== 'online') return this.#linger(nowMs)
    return [this.#request('unsubscribe', { topic: this.#options.topic, subscription: subscription.id }, { name: 'unsubscribe' }), ...this.#linger(nowMs)]
  }

  #byId(id: number): Subscribed | undefined {
    for (const subscription of this.#subscriptions.values()) if (subscription.id === id) return subscription
    return undefined
  }

  // ---- history

  #askHistory(key: number, params: Omit<HistoryParams, 'topic'>): SessionEffect[] {
    return [this.#request('history', { topic: this.#options.topic, ...params }, { name: 'history', key })]
  }

  // ---- publishing

  #publish(nowMs: number): SessionEffect[] {
    if (this.#state !== 'online' || this.#hold === 'note' || this.#holdUntil > nowMs) return []
    const publisher = this.#options.publisher()
    if (this.#hold === 'answers') {
      if (this.#unackedCount > 0) return []
      this.#hold = 'no'
      publisher.rewind()
    }
    const effects: SessionEffect[] = []
    const first = this.#unackedCount === 0
    while (this.#unackedBytes < PUBLISH_BYTES) {
      const room = Math.min(this.#limits.messagesPerFrame, this.#limits.publisherWindow - this.#unackedCount)
      const batch = publisher.take(room, this.#limits.frameBytes - HEAD_BYTES)
      if (!batch) break
      this.#unackedCount += batch.count
      this.#unackedBytes += batch.body.length
      effects.push(this.#sendBatch(batch, nowMs, false))
    }
    if (first && effects.length > 0) effects.push({ name: 'wake-at', at: nowMs + WAITS.answerMs })
    return effects
  }

  #sendBatch(batch: Batch, nowMs: number, again: boolean): SessionEffect {
    const id = ++this.#requestId
    const publisher = this.#options.publisher().id
    this.#pending.set(id, { name: 'publish', publisher, batch, sentAt: nowMs, again })
    const { first, after, ids, keys, body } = batch
    const params = { topic: this.#options.topic, publisher, after, first, ...(ids && { ids }), ...(keys && { keys }) }
    return { name: 'send', text: encodePublish(id, params, body) }
  }

  /** The window of a batch is free again. One that was sent twice is counted once, with its first answer. */
  #release(pending: Publishing): void {
    for (const [id, other] of this.#pending) if (other.name === 'publish' && other.batch === pending.batch) this.#pending.delete(id)
    this.#unackedCount -= pending.batch.count
    this.#unackedBytes -= pending.batch.body.length
  }

  #published(pending: Publishing, { epoch, fates }: PublishResult, nowMs: number): SessionEffect[] {
    this.#release(pending)
    // What a publisher that was given up had on its way is set aside already.
    const publisher = this.#options.publisher()
    if (pending.publisher !== publisher.id) return this.#publish(nowMs)
    if (!publisher.settledBefore(pending.batch.first)) {
      // An earlier frame was turned away, so both are sent again.
      if (this.#hold === 'no') this.#hold = 'answers'
      return this.#publish(nowMs)
    }
    const refused = fates.some(({ fate }) => fate === 'refused')
    if (refused) this.#hold = 'note'
    return [{ name: 'fates', epoch, fates }, ...this.#publish(nowMs), ...this.#linger(nowMs)]
  }

  #publishFailed(pending: Publishing, error: Fault, nowMs: number): SessionEffect[] {
    // One that was sent twice is still on its way.
    for (const other of this.#pending.values()) if (other.name === 'publish' && other.batch === pending.batch) return []
    this.#release(pending)
    const publisher = this.#options.publisher()
    if (pending.publisher !== publisher.id) return this.#publish(nowMs)
    const missing = error.code === 'sequence_gap' || error.code === 'publisher_expired'
    // With everything before it settled nothing is missing on this side: the home has lost what it once acked. Otherwise an earlier
    // frame was not accepted, and this one follows from it.
    if (missing && this.#hold === 'no' && pending.batch.after <= publisher.settled) {
      this.#hold = 'note'
      return [{ name: 'publisher-lost', error }]
    }
    if (!missing && !ERRORS[error.code].retryable) {
      // The frame as such was not accepted, so none of its messages ever will be.
      this.#hold = 'note'
      const { first, count } = pending.batch
      return [{ name: 'fates', epoch: '', fates: [{ fate: 'refused', first, count, code: error.code, message: error.message }] }]
    }
    if (this.#hold === 'no') this.#hold = 'answers'
    if (error.retryAfterMs !== undefined) this.#holdUntil = nowMs + error.retryAfterMs
    const wait: SessionEffect[] = this.#holdUntil > nowMs ? [{ name: 'wake-at', at: this.#holdUntil }] : []
    return [...wait, ...this.#publish(nowMs)]
  }
}

function off(subscription: Subscribed): void {
  subscription.id = undefined
  subscription.phase = 'off'
}

function endsForGood(code: ErrorCode): boolean {
  const { close, retryable } = ERRORS[code] as { close?: number; retryable: boolean }
  return close === undefined ? !retryable : close >= 4500
}

function faultOf(data: unknown, message?: string): Fault {
  const facts = (typeof data === 'object' && data !== null ? data : {}) as { code?: unknown; message?: unknown; retryAfterMs?: unknown }
  const code = knownCode(facts.code)
  const text = message ?? (typeof facts.message === 'string' ? facts.message : ERRORS[code].meaning)
  return typeof facts.retryAfterMs === 'number' ? { code, message: text, retryAfterMs: facts.retryAfterMs } : { code, message: text }
}
