import { encodeResult } from '../protocol/answers.ts'
import { makeCursor, parseCursor } from '../protocol/cursor.ts'
import { type Fault, fault } from '../protocol/error-codes.ts'
import type { Fate } from '../protocol/frames/publish.ts'
import type { Params } from '../protocol/frames/requests.ts'
import type { GapFacts } from '../protocol/frames/subscribe.ts'
import { LIMITS } from '../protocol/limits.ts'
import type { BadRequest, PublishRequest, Request } from '../protocol/requests.ts'
import { type Chunk, type Loaded, StoreFull } from '../store/store.ts'
import { Allowance } from './allowance.ts'
import { type HistoryRead, historyPage } from './history.ts'
import { Journal } from './journal.ts'
import type { Identity, LinkState, LogEffect, LogEvent } from './machine.ts'
import { answer, answerError, busy, expired, farewell, greeting } from './replies.ts'
import type { Retention } from './retention.ts'
import { authorize, readsLess } from './rights.ts'
import { Subscriptions } from './subscriptions.ts'

export interface TopicLogOptions {
  readonly topic: string
  readonly retention: Retention
  /** Beat of the heartbeat that the home answers, if its links can be half open. */
  readonly heartbeatMs?: number
  /** Increased by every home that takes a shared store over. */
  readonly term?: number
}

/** How long it takes, at least, until another link of the same user may be gone. */
const CROWDED_MS = 5_000

interface Link {
  identity: Identity
  greeted: boolean
  faultCount: number
  readCount: number
  /** Pages need no credit, so whoever asks and never reads would make the socket a buffer without a bound. */
  readonly history: Allowance
  /** Nor does a subscription that is given up and made anew: each begins with a window that nobody has handled. */
  readonly abandoned: Allowance
}

/** A commit that is under way, and what is told once it is durable. */
interface InFlight {
  readonly commit: number
  readonly fresh: readonly Chunk[]
  readonly bytes: number
  readonly answers: Answer[]
}

interface Answer {
  readonly link: number
  readonly text: string
}

/**
 * The home of one topic: gives offsets, commits, fans out. At most one commit is in flight. It starts at once when nothing
 * is undurable, so a lone message never waits; what arrives until it is durable forms the next one, without any timer.
 */
export class TopicLog {
  readonly #options: TopicLogOptions
  readonly #epoch: string
  readonly #journal: Journal
  readonly #subscriptions: Subscriptions
  readonly #links = new Map<number, Link>()
  /** The links of each user. */
  readonly #users = new Map<string, Set<number>>()
  readonly #histories = new Map<number, HistoryRead>()

  #answers: Answer[] = []
  /** Length of all answers that wait for a commit. */
  #owedBytes = 0
  #inFlight: InFlight | undefined
  #commitCount = 0
  #readCount = 0
  #durableHead: number
  #sweepAt: number | undefined
  #failed = false

  constructor(loaded: Loaded, options: TopicLogOptions) {
    this.#options = options
    this.#epoch = loaded.epoch
    this.#journal = new Journal(loaded, options.retention)
    this.#durableHead = this.#journal.end.head
    this.#subscriptions = new Subscriptions(this.#journal.end, () => ++this.#readCount)
  }

  step(event: LogEvent, nowMs: number): readonly LogEffect[] {
    if (this.#failed) return []
    this.#journal.tick(nowMs)
    switch (event.name) {
      case 'opened':
        return this.#opened(event.link, event.state, nowMs)
      case 'closed':
        this.#forget(event.link)
        return []
      case 'frame':
        return this.#frame(event.link, event.frame, nowMs)
      case 'durable':
        return this.#durable()
      case 'commit-failed':
        return this.#fail(event.error)
      case 'chunks-read':
        return this.#chunksRead(event.reader, event.chunks)
      case 'read-failed':
        return this.#fail(event.error)
      case 'verified':
        return this.#verified(event.link, event.id, event.identity, nowMs)
      case 'judged':
        return this.#judged(event.link, event.identity)
      case 'due':
        return this.#due(nowMs)
    }
  }

  // ---- links

  #opened(link: number, { identity, greeted, subscriptions }: LinkState, nowMs: number): LogEffect[] {
    const history = new Allowance(LIMITS.historyBytes, LIMITS.historyBytesPerSecond)
    const abandoned = new Allowance(LIMITS.abandonedBytes, LIMITS.abandonedBytesPerSecond)
    this.#links.set(link, { identity, greeted, faultCount: 0, readCount: 0, history, abandoned })
    this.#users.set(identity.key, (this.#users.get(identity.key) ?? new Set()).add(link))
    // Time went on while it was out of memory, and the alarm that ends it may come only after what woke the log.
    if (expired(identity, nowMs)) return this.#expel(link, null, fault('token_expired'))
    const effects: LogEffect[] = []
    if (subscriptions.length > 0) {
      const may = authorize(identity, 'subscribe')
      if ('code' in may) return this.#expel(link, null, fault('access_changed'))
      effects.push(...subscriptions.flatMap((state) => this.#subscriptions.restore(may, link, state)))
    }
    return identity.expiresAt === undefined ? effects : [...effects, { name: 'wake-at', at: identity.expiresAt }]
  }

  #forget(link: number): void {
    const key = this.#links.get(link)?.identity.key
    if (key !== undefined) {
      const links = this.#users.get(key)
      links?.delete(link)
      if (links?.size === 0) this.#users.delete(key)
    }
    this.#links.delete(link)
    this.#subscriptions.removeLink(link)
  }

  #remember(link: number): LogEffect[] {
    const known = this.#links.get(link)
    if (!known) return []
    return [
      {
        name: 'remember',
        link,
        state: { identity: known.identity, greeted: known.greeted, subscriptions: this.#subscriptions.states(link) },
      },
    ]
  }

  /** End a link for a reason that its client is told first. */
  #expel(link: number, id: number | null, reason: Fault): LogEffect[] {
    this.#forget(link)
    return farewell(link, id, reason)
  }

  #fail(error: unknown): LogEffect[] {
    const reason = fault(error instanceof StoreFull ? 'store_full' : 'commit_failed')
    const effects = [...this.#links.keys()].flatMap((link) => this.#expel(link, null, reason))
    this.#failed = true
    return [...effects, { name: 'failed', error }]
  }

  // ---- frames

  #frame(link: number, frame: Request | BadRequest, nowMs: number): readonly LogEffect[] {
    const from = this.#links.get(link)
    if (!from) return []
    if (expired(from.identity, nowMs)) return this.#expel(link, null, fault('token_expired'))
    if ('fault' in frame) return this.#misunderstood(link, from, frame)
    // A notification's number is nobody's: an answer under it could be taken for another request's.
    const id = frame.method === 'credit' ? null : frame.id
    if (!from.greeted && frame.method !== 'hello') return this.#expel(link, id, fault('hello_needed'))
    if ('topic' in frame.params && frame.params.topic !== this.#options.topic)
      return answerError(link, id, fault('wrong_topic'))
    switch (frame.method) {
      case 'hello':
        return this.#hello(link, from, frame.id, frame.params, nowMs)
      case 'authenticate':
        return [{ name: 'verify', link, id: frame.id, token: frame.params.token }]
      case 'subscribe':
        return this.#subscribe(link, from, frame.id, frame.params, nowMs)
      case 'unsubscribe':
        return this.#unsubscribe(link, from, frame.id, frame.params)
      case 'credit':
        return [
          ...this.#subscriptions.grant(link, frame.params.subscription, frame.params.through),
          ...this.#remember(link),
        ]
      case 'publish':
        return this.#publish(link, from, frame, nowMs)
      case 'history':
        return this.#history(link, from, frame.id, frame.params, nowMs)
    }
  }

  #misunderstood(link: number, from: Link, { id, fault: wrong }: BadRequest): LogEffect[] {
    if (wrong.code === 'frame_too_large') return this.#expel(link, id, wrong)
    if (++from.faultCount > LIMITS.faultsPerLink) return this.#expel(link, null, fault('too_many_faults'))
    return answerError(link, id, wrong)
  }

  #hello(link: number, from: Link, id: number, { versions }: Params<'hello'>, nowMs: number): LogEffect[] {
    const result = greeting(versions, from.identity, { nowMs, heartbeatMs: this.#options.heartbeatMs })
    if ('code' in result) return this.#expel(link, id, result)
    from.greeted = true
    return [...answer(link, id, result), ...this.#remember(link)]
  }

  #verified(link: number, id: number, identity: Identity | Fault, nowMs: number): LogEffect[] {
    const from = this.#links.get(link)
    if (!from) return []
    if ('code' in identity) return answerError(link, id, identity)
    if (identity.key !== from.identity.key) return answerError(link, id, fault('user_mismatch'))
    const { expiresAt } = identity
    const result = expiresAt === undefined ? {} : { expiresInMs: Math.max(0, expiresAt - nowMs) }
    const effects = [...answer(link, id, result), ...this.#judged(link, identity)]
    return expiresAt === undefined ? effects : [...effects, { name: 'wake-at', at: expiresAt }]
  }

  /**
   * From here on the link is measured by these rights. Whoever may read less than what they are being sent is told to come again, and gets
   * no other frame: what they may still do is found out when they do.
   */
  #judged(link: number, identity: Identity): LogEffect[] {
    const from = this.#links.get(link)
    if (!from) return []
    const before = from.identity
    from.identity = identity
    if (identity.rights === 0) return this.#expel(link, null, fault('forbidden'))
    if (this.#subscriptions.count(link) > 0 && readsLess(before, identity))
      return this.#expel(link, null, fault('access_changed'))
    return this.#remember(link)
  }

  // ---- publish

  #publish(link: number, { identity }: Link, request: PublishRequest, nowMs: number): LogEffect[] {
    const { id, lines } = request
    const may = authorize(identity, 'publish')
    const known = 'code' in may ? this.#journal.turnAway(identity.key, request, may) : undefined
    if (known && 'code' in known) return answerError(link, id, known)
    if (this.#inFlight && this.#undurableBytes(this.#inFlight) + lines.bytes > LIMITS.undurableBytes) {
      return answerError(link, id, busy('more than undurableBytes waits to become durable', 100))
    }
    const accepted = 'code' in may ? { fates: known as Fate[] } : this.#journal.accept(may, identity, request, nowMs)
    if ('code' in accepted) return answerError(link, id, accepted)
    return this.#settle({ link, text: encodeResult(id, { epoch: this.#epoch, ...accepted }) })
  }

  /** What is held in memory until it is durable: messages, and what will be said about them. */
  #undurableBytes({ bytes }: InFlight): number {
    return bytes + this.#journal.waitingBytes + this.#owedBytes
  }

  /** Answer once all that was accepted so far is durable, repeats of what is on its way included. */
  #settle(answer: Answer): LogEffect[] {
    if (this.#journal.empty && !this.#inFlight) return [{ name: 'send', links: [answer.link], text: answer.text }]
    this.#owedBytes += answer.text.length
    if (this.#journal.empty) this.#inFlight?.answers.push(answer)
    else this.#answers.push(answer)
    return this.#inFlight ? [] : this.#commit()
  }

  #commit(trimming = false): LogEffect[] {
    const expect = { head: this.#durableHead, term: this.#options.term ?? 0 }
    const { write, fresh, bytes } = this.#journal.seal(trimming)
    const commit = ++this.#commitCount
    this.#inFlight = { commit, fresh, bytes, answers: this.#answers }
    this.#answers = []
    const sweep = this.#sweepAt === undefined ? this.#planSweep() : []
    return [{ name: 'commit', commit, write: { expect, ...write } }, ...sweep]
  }

  #durable(): LogEffect[] {
    const settled = this.#inFlight
    if (!settled) return []
    this.#inFlight = undefined
    this.#durableHead = settled.fresh.at(-1)?.next ?? this.#durableHead
    const { effects, fellBehind } = this.#subscriptions.append(settled.fresh)
    for (const link of fellBehind) effects.push(...this.#remember(link))
    // On one link the delivery of a message precedes its ack.
    for (const { link, text } of settled.answers) {
      this.#owedBytes -= text.length
      effects.push({ name: 'send', links: [link], text })
    }
    if (!this.#journal.empty) effects.push(...this.#commit())
    return effects
  }

  // ---- subscribe and history

  #subscribe(
    link: number,
    { identity, abandoned }: Link,
    id: number,
    { subscription, from, window }: Params<'subscribe'>,
    nowMs: number,
  ): LogEffect[] {
    const may = authorize(identity, 'subscribe')
    if ('code' in may) return answerError(link, id, may)
    if (this.#subscriptions.has(link, subscription)) return answerError(link, id, fault('subscription_exists'))
    const crowded = this.#crowded(link, identity)
    if (crowded) return answerError(link, id, crowded)
    if (abandoned.exhausted(nowMs))
      return answerError(link, id, busy('subscriptions were given up with abandonedBytes unhandled', 1_000))
    const { next, gap } = this.#start(from, this.#bound(identity))
    const effects = this.#subscriptions.add(may, link, { id: subscription, next, window })
    return [
      ...answer(link, id, { cursor: makeCursor(this.#epoch, next), head: this.#durableHead, ...(gap && { gap }) }),
      ...this.#remember(link),
      ...effects,
    ]
  }

  /**
   * A link may be half open, and its user come back on another one: what holds the user up there may soon be gone, so that is no reason to
   * refuse for good. What this link holds itself is one.
   */
  #crowded(link: number, { key, limits }: Identity): Fault | undefined {
    const most = limits?.subscriptions ?? Number.POSITIVE_INFINITY
    const here = this.#subscriptions.count(link)
    if (here >= LIMITS.subscriptionsPerLink) return fault('too_many_subscriptions')
    if (here >= most)
      return fault('too_many_subscriptions', `limit-subscriptions: the policy allows this user ${most} at this topic`)
    if (most === Number.POSITIVE_INFINITY) return undefined
    let held = 0
    for (const other of this.#users.get(key) ?? []) {
      held += this.#subscriptions.count(other)
      if (held >= most)
        return {
          ...fault(
            'limit_reached',
            `limit-subscriptions: the policy allows this user ${most} at this topic, on all links`,
          ),
          retryAfterMs: CROWDED_MS,
        }
    }
    return undefined
  }

  #unsubscribe(link: number, { abandoned }: Link, id: number, params: Params<'unsubscribe'>): LogEffect[] {
    const unhandled = this.#subscriptions.remove(link, params.subscription)
    if (unhandled === undefined) return answerError(link, id, fault('unknown_subscription'))
    abandoned.spend(unhandled)
    return [...answer(link, id, {}), ...this.#remember(link)]
  }

  #start(from: Params<'subscribe'>['from'], bound: number): { next: number; gap?: GapFacts } {
    const floor = Math.max(this.#floor(), bound)
    if (from === 'now') return { next: this.#durableHead }
    if (from === 'start') return { next: floor }
    if (typeof from === 'object') return { next: Math.max(floor, this.#durableHead - from.last) }
    const { offset, gap } = this.#locate(from)
    if (offset < bound) return { next: bound, gap: { from: gap?.from ?? offset, to: bound, reason: 'access' } }
    return gap ? { next: offset, gap } : { next: offset }
  }

  /** Offset before which a link may not read, wherever the log itself begins. */
  #bound(identity: Identity): number {
    if ('code' in authorize(identity, 'history')) return this.#durableHead
    const { historyFrom = 0, limits } = identity
    const depth = limits?.depth ?? this.#durableHead
    return Math.min(Math.max(historyFrom, this.#durableHead - depth), this.#durableHead)
  }

  /** Offset of the first message that is served. A commit in flight may leave less than all that is durable; its own messages are not yet there. */
  #floor(): number {
    return Math.min(this.#journal.floor, this.#durableHead)
  }

  /** Where a cursor leads: to its offset, or past a gap. One below the floor keeps its offset; its first page brings the gap. */
  #locate(cursor: string): { offset: number; gap: GapFacts | undefined } {
    const { epoch, offset } = parseCursor(cursor) as { epoch: string; offset: number }
    const to = this.#floor()
    if (epoch !== this.#epoch) return { offset: to, gap: { from: offset, to, reason: 'epoch' } }
    if (offset > this.#durableHead)
      return { offset: this.#durableHead, gap: { from: offset, to: this.#durableHead, reason: 'rewound' } }
    return { offset, gap: undefined }
  }

  #history(link: number, from: Link, id: number, params: Params<'history'>, nowMs: number): LogEffect[] {
    const may = authorize(from.identity, 'history')
    if ('code' in may) return answerError(link, id, may)
    if (from.readCount >= LIMITS.readsPerLink || from.history.exhausted(nowMs))
      return answerError(link, id, busy('more pages than historyBytes or readsPerLink allow', 1_000))
    const floor = Math.max(this.#floor(), this.#bound(from.identity))
    const asked =
      params.from === undefined
        ? { offset: params.reverse ? this.#durableHead : floor, gap: undefined }
        : this.#locate(params.from)
    // Backwards, an unknown epoch starts at the end.
    const offset = asked.gap?.reason === 'epoch' && params.reverse ? this.#durableHead : asked.offset
    const reader = ++this.#readCount
    from.readCount++
    this.#histories.set(reader, { link, id, params, offset, gap: asked.gap })
    if (params.reverse) return [{ name: 'read', reader, direction: 'back', offset, maxBytes: LIMITS.pageBytes }]
    return [{ name: 'read', reader, direction: 'on', offset: Math.max(floor, offset), maxBytes: LIMITS.pageBytes }]
  }

  #chunksRead(reader: number, chunks: readonly Chunk[]): readonly LogEffect[] {
    const history = this.#histories.get(reader)
    if (history) {
      this.#histories.delete(reader)
      return this.#historyPage(history, chunks)
    }
    if (!this.#subscriptions.reads(reader)) return []
    const { effects, link, resting } = this.#subscriptions.page(reader, chunks, this.#floor())
    // Where it stands is written down before anything else can happen, or waking would send the page again.
    return resting ? [...effects, ...this.#remember(link)] : effects
  }

  #historyPage(history: HistoryRead, chunks: readonly Chunk[]): LogEffect[] {
    const from = this.#links.get(history.link)
    if (!from) return []
    from.readCount--
    // The right may have been taken away while the page was read.
    const may = authorize(from.identity, 'history')
    if ('code' in may) return answerError(history.link, history.id, may)
    const floor = this.#floor()
    const bound = this.#bound(from.identity)
    const view = { epoch: this.#epoch, floor: Math.max(floor, bound), head: this.#durableHead, bounded: bound > floor }
    const text = historyPage(may, history, chunks, view)
    from.history.spend(text.length)
    return [{ name: 'send', links: [history.link], text }]
  }

  // ---- time

  #due(nowMs: number): LogEffect[] {
    const effects: LogEffect[] = []
    for (const [link, { identity }] of [...this.#links]) {
      if (expired(identity, nowMs)) effects.push(...this.#expel(link, null, fault('token_expired')))
      else if (identity.expiresAt !== undefined) effects.push({ name: 'wake-at', at: identity.expiresAt })
    }
    // Other alarms ring here, too; they are no reason to pay for rows, and whoever has one alarm forgets with it what comes later.
    if (this.#sweepAt !== undefined && nowMs < this.#sweepAt)
      return [...effects, { name: 'wake-at', at: this.#sweepAt }]
    if (this.#journal.trimmable && !this.#inFlight) effects.push(...this.#commit(true))
    return [...effects, ...this.#planSweep()]
  }

  /** What is too old is deleted at the latest an hour after, without any publish. */
  #planSweep(): LogEffect[] {
    this.#sweepAt = this.#journal.sweepAt
    return this.#sweepAt === undefined ? [] : [{ name: 'wake-at', at: this.#sweepAt }]
  }
}
