import { encodeError, encodeGoodbye, encodeHistory, encodeResult } from '../protocol/codec.ts'
import { makeCursor, parseCursor } from '../protocol/cursor.ts'
import { ERRORS, type Fault, fault } from '../protocol/error-codes.ts'
import type { GapFacts } from '../protocol/frames/subscribe.ts'
import type { Fate } from '../protocol/frames/publish.ts'
import type { Params } from '../protocol/frames/requests.ts'
import { ANNOUNCED_LIMITS, type AnnouncedLimits, LIMITS } from '../protocol/limits.ts'
import type { BadRequest, Lines, PublishRequest, Request } from '../protocol/requests.ts'
import { utf8Bytes } from '../protocol/text.ts'
import { PROTOCOL } from '../protocol/version.ts'
import type { Chunk, ChunkHead, Loaded } from '../store/store.ts'
import { StoreFull } from '../store/store.ts'
import { Appender } from './appender.ts'
import { bucketOf, recover, writeBuckets, writeIndex } from './checkpoint.ts'
import type { Identity, LinkState, LogEffect, LogEvent } from './machine.ts'
import { Publishers } from './publishers.ts'
import { cut, cutLines, join } from './range.ts'
import type { Retention, Segments } from './retention.ts'
import { Subscriptions } from './subscriptions.ts'

export interface TopicLogOptions {
  readonly topic: string
  readonly retention: Retention
  /** Beat of the heartbeat that the home answers, if its links can be half open. */
  readonly heartbeatMs?: number
  /** Increased by every home that takes a shared store over. */
  readonly term?: number
}

interface Link {
  identity: Identity
  greeted: boolean
  faultCount: number
  readCount: number
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

type Refused = NonNullable<Lines['refused']>

interface HistoryRead {
  readonly link: number
  readonly id: number
  readonly params: Params<'history'>
  readonly offset: number
  readonly gap: GapFacts | undefined
}

/**
 * The home of one topic: gives offsets, commits, fans out. At most one commit is in flight. It starts at once when nothing
 * is undurable, so a lone message never waits; what arrives until it is durable forms the next one, without any timer.
 */
export class TopicLog {
  readonly #options: TopicLogOptions
  readonly #epoch: string
  readonly #publishers: Publishers
  readonly #segments: Segments
  readonly #appender: Appender
  readonly #subscriptions: Subscriptions
  readonly #links = new Map<number, Link>()
  readonly #histories = new Map<number, HistoryRead>()

  #dirty: Set<number>
  #chunksSinceCheckpoint: number
  #bytesSinceCheckpoint: number
  #answers: Answer[] = []
  /** Length of all answers that wait for a commit. */
  #owedBytes = 0
  #inFlight: InFlight | undefined
  #commitCount = 0
  #readCount = 0
  #durableHead: number
  /** The log's time, which never runs backwards. */
  #now: number
  #sweepAt: number | undefined
  #failed = false

  constructor(loaded: Loaded, options: TopicLogOptions) {
    const { publishers, segments, dirty, head, bytes, at } = recover(loaded, options.retention)
    this.#options = options
    this.#epoch = loaded.epoch
    this.#publishers = publishers
    this.#segments = segments
    this.#dirty = dirty
    this.#chunksSinceCheckpoint = loaded.heads.length
    this.#bytesSinceCheckpoint = headBytes(loaded.heads)
    this.#durableHead = head
    this.#now = at
    this.#appender = new Appender({ head, bytes, tail: loaded.tail })
    this.#subscriptions = new Subscriptions({ head, bytes }, () => ++this.#readCount)
  }

  step(event: LogEvent, nowMs: number): readonly LogEffect[] {
    if (this.#failed) return []
    this.#now = Math.max(this.#now, nowMs)
    switch (event.name) {
      case 'opened':
        return this.#opened(event.link, event.state)
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
      case 'due':
        return this.#due(nowMs)
    }
  }

  // ---- links

  #opened(link: number, { identity, greeted, subscriptions }: LinkState): LogEffect[] {
    this.#links.set(link, { identity, greeted, faultCount: 0, readCount: 0 })
    const effects = subscriptions.flatMap((state) => this.#subscriptions.restore(link, state))
    return identity.expiresAt === undefined ? effects : [...effects, { name: 'wake-at', at: identity.expiresAt }]
  }

  #forget(link: number): void {
    this.#links.delete(link)
    this.#subscriptions.removeLink(link)
  }

  #remember(link: number): LogEffect[] {
    const known = this.#links.get(link)
    if (!known) return []
    return [{ name: 'remember', link, state: { identity: known.identity, greeted: known.greeted, subscriptions: this.#subscriptions.states(link) } }]
  }

  /** End a link for a reason that its client is told first. */
  #expel(link: number, id: number | null, reason: Fault): LogEffect[] {
    this.#forget(link)
    const text = id === null ? encodeGoodbye(reason) : encodeError(id, reason)
    const { close } = ERRORS[reason.code] as { close?: number }
    return [
      { name: 'send', links: [link], text },
      { name: 'close', link, code: close ?? 4000, reason: reason.code },
    ]
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
    if ('topic' in frame.params && frame.params.topic !== this.#options.topic) return answerError(link, id, fault('wrong_topic'))
    switch (frame.method) {
      case 'hello':
        return this.#hello(link, from, frame.id, frame.params, nowMs)
      case 'authenticate':
        return [{ name: 'verify', link, id: frame.id, token: frame.params.token }]
      case 'subscribe':
        return this.#subscribe(link, frame.id, frame.params)
      case 'unsubscribe':
        if (!this.#subscriptions.remove(link, frame.params.subscription)) return answerError(link, frame.id, fault('unknown_subscription'))
        return [...answer(link, frame.id, {}), ...this.#remember(link)]
      case 'credit':
        return [...this.#subscriptions.grant(link, frame.params.subscription, frame.params.through), ...this.#remember(link)]
      case 'publish':
        return this.#publish(link, from, frame)
      case 'history':
        return this.#history(link, from, frame.id, frame.params)
    }
  }

  #misunderstood(link: number, from: Link, { id, fault: wrong }: BadRequest): LogEffect[] {
    if (wrong.code === 'frame_too_large') return this.#expel(link, id, wrong)
    if (++from.faultCount > LIMITS.faultsPerLink) return this.#expel(link, null, fault('too_many_faults'))
    return answerError(link, id, wrong)
  }

  #hello(link: number, from: Link, id: number, { versions }: Params<'hello'>, nowMs: number): LogEffect[] {
    if (!versions.includes(PROTOCOL.current)) {
      return this.#expel(link, id, fault('version_unsupported', `this server speaks versions ${PROTOCOL.oldest} to ${PROTOCOL.current}`))
    }
    from.greeted = true
    const { user, expiresAt } = from.identity
    const { heartbeatMs } = this.#options
    const result = {
      version: PROTOCOL.current,
      limits: announced(),
      nowMs,
      features: [],
      ...(heartbeatMs !== undefined && { heartbeatMs }),
      ...(user !== undefined && { user }),
      ...(expiresAt !== undefined && { expiresInMs: Math.max(0, expiresAt - nowMs) }),
    }
    return [...answer(link, id, result), ...this.#remember(link)]
  }

  #verified(link: number, id: number, identity: Identity | Fault, nowMs: number): LogEffect[] {
    const from = this.#links.get(link)
    if (!from) return []
    if ('code' in identity) return answerError(link, id, identity)
    if (identity.key !== from.identity.key) return answerError(link, id, fault('user_mismatch'))
    from.identity = identity
    const { expiresAt } = identity
    if (expiresAt === undefined) return [...answer(link, id, {}), ...this.#remember(link)]
    return [...answer(link, id, { expiresInMs: Math.max(0, expiresAt - nowMs) }), ...this.#remember(link), { name: 'wake-at', at: expiresAt }]
  }

  // ---- publish

  #publish(link: number, from: Link, { id, params, lines }: PublishRequest): LogEffect[] {
    const { publisher, after, first, ids, keys } = params
    const key = Publishers.key(from.identity.key, publisher)
    const verdict = this.#publishers.check(key, { after, first, count: lines.count })
    if ('code' in verdict) return answerError(link, id, verdict)
    const { repeats } = verdict
    const end = Math.max(repeats, lines.refused?.index ?? lines.count)
    if (this.#inFlight && this.#undurableBytes(this.#inFlight) + lines.bytes > LIMITS.undurableBytes) {
      return answerError(link, id, { ...fault('busy'), retryAfterMs: 100 })
    }
    const fates: Fate[] = repeats > 0 ? this.#publishers.repeats(key, first, repeats) : []
    if (end > repeats) {
      const count = end - repeats
      const offset = this.#appender.head
      const whole = count === lines.count
      const body = whole ? lines.body : cutLines(lines.body, repeats, end)
      const at = this.#appender.offer(
        {
          user: from.identity.key,
          publisher,
          first: first + repeats,
          count,
          extras: ids || keys ? { ...(ids && { ids: [ids[0], ids[1] + repeats] as [string, number] }), ...(keys && { keys: keys.slice(repeats, end) }) } : undefined,
          body,
          bytes: whole ? lines.bytes : utf8Bytes(body),
        },
        this.#now,
      )
      this.#publishers.record(key, { first: first + repeats, count, offset, at })
      this.#dirty.add(bucketOf(key))
      fates.push({ fate: 'stored', first: first + repeats, count, offset })
    }
    // What stands behind a refused message is not looked at: if it were stored, a client that dies before it has noted the refusal
    // would be told that the refused one is a repeat.
    if (lines.refused) fates.push(...refusal(first, end, lines.count, lines.refused))
    return this.#settle({ link, text: encodeResult(id, { epoch: this.#epoch, fates }) })
  }

  /** What is held in memory until it is durable: messages, and what will be said about them. */
  #undurableBytes({ bytes }: InFlight): number {
    return bytes + this.#appender.waitingBytes + this.#owedBytes
  }

  /** Answer once all that was accepted so far is durable, repeats of what is on its way included. */
  #settle(answer: Answer): LogEffect[] {
    if (this.#appender.empty && !this.#inFlight) return [{ name: 'send', links: [answer.link], text: answer.text }]
    this.#owedBytes += answer.text.length
    if (this.#appender.empty) this.#inFlight?.answers.push(answer)
    else this.#answers.push(answer)
    return this.#inFlight ? [] : this.#commit()
  }

  #commit(trimming = false): LogEffect[] {
    const expect = { head: this.#durableHead, term: this.#options.term ?? 0 }
    const bytes = this.#appender.waitingBytes
    const { replaceTail, append, fresh } = this.#appender.seal()
    for (const row of replaceTail ? [replaceTail] : append) this.#segments.append({ ...row, newestAt: fresh[0]?.at ?? row.at })
    this.#chunksSinceCheckpoint += append.length
    this.#bytesSinceCheckpoint += headBytes(append)
    const checkpoint = trimming || this.#checkpointDue() || this.#segments.excess(this.#now) >= LIMITS.trimSegments
    const write = { expect, ...(replaceTail && { replaceTail }), append, ...(checkpoint && this.#checkpoint()) }
    const commit = ++this.#commitCount
    this.#inFlight = { commit, fresh, bytes, answers: this.#answers }
    this.#answers = []
    const first = this.#sweepAt === undefined ? this.#planSweep() : []
    return [{ name: 'commit', commit, write }, ...first]
  }

  /** What waking reads is bounded by rows and by bytes: a row can consist of keys almost alone. */
  #checkpointDue(): boolean {
    return (
      this.#chunksSinceCheckpoint >= LIMITS.checkpointChunks || this.#bytesSinceCheckpoint >= LIMITS.checkpointBytes || this.#publishers.crowded
    )
  }

  /** Publishers and the index as they are with this commit; everything before it may then be trimmed. */
  #checkpoint(): { trimBelow: number; checkpoint: (readonly [number, string])[] } {
    const trimBelow = this.#segments.trim(this.#now)
    this.#appender.trimmed(trimBelow)
    for (const key of this.#publishers.prune(this.#now, trimBelow)) this.#dirty.add(bucketOf(key))
    const index = writeIndex({ next: this.#appender.head, bytes: this.#appender.bytes, at: this.#now, segments: this.#segments.list })
    const checkpoint = [index, ...writeBuckets(this.#publishers, this.#dirty)]
    this.#dirty = new Set()
    this.#chunksSinceCheckpoint = 0
    this.#bytesSinceCheckpoint = 0
    return { trimBelow, checkpoint }
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
    if (!this.#appender.empty) effects.push(...this.#commit())
    return effects
  }

  // ---- subscribe and history

  #subscribe(link: number, id: number, { subscription, from, window }: Params<'subscribe'>): LogEffect[] {
    if (this.#subscriptions.has(link, subscription)) return answerError(link, id, fault('subscription_exists'))
    if (this.#subscriptions.count(link) >= LIMITS.subscriptionsPerLink) return answerError(link, id, fault('too_many_subscriptions'))
    const { next, gap } = this.#start(from)
    const effects = this.#subscriptions.add(link, { id: subscription, next, window })
    return [...answer(link, id, { cursor: makeCursor(this.#epoch, next), head: this.#durableHead, ...(gap && { gap }) }), ...this.#remember(link), ...effects]
  }

  #start(from: Params<'subscribe'>['from']): { next: number; gap?: GapFacts } {
    const floor = this.#floor()
    if (from === 'now') return { next: this.#durableHead }
    if (from === 'start') return { next: floor }
    if (typeof from === 'object') return { next: Math.max(floor, this.#durableHead - from.last) }
    const { offset, gap } = this.#locate(from)
    return gap ? { next: offset, gap } : { next: offset }
  }

  /** Offset of the first message that is served. A commit in flight may leave less than all that is durable; its own messages are not yet there. */
  #floor(): number {
    return Math.min(this.#segments.floor(this.#now), this.#durableHead)
  }

  /** Where a cursor leads: to its offset, or past a gap. One below the floor keeps its offset; its first page brings the gap. */
  #locate(cursor: string): { offset: number; gap: GapFacts | undefined } {
    const { epoch, offset } = parseCursor(cursor) as { epoch: string; offset: number }
    const to = this.#floor()
    if (epoch !== this.#epoch) return { offset: to, gap: { from: offset, to, reason: 'epoch' } }
    if (offset > this.#durableHead) return { offset: this.#durableHead, gap: { from: offset, to: this.#durableHead, reason: 'rewound' } }
    return { offset, gap: undefined }
  }

  #history(link: number, from: Link, id: number, params: Params<'history'>): LogEffect[] {
    if (from.readCount >= LIMITS.readsPerLink) return answerError(link, id, { ...fault('busy'), retryAfterMs: 100 })
    const floor = this.#floor()
    const asked = params.from === undefined ? { offset: params.reverse ? this.#durableHead : floor, gap: undefined } : this.#locate(params.from)
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

  #historyPage({ link, id, params, offset, gap }: HistoryRead, chunks: readonly Chunk[]): LogEffect[] {
    const from = this.#links.get(link)
    if (!from) return []
    from.readCount--
    // The floor may have risen since the page was asked for.
    const floor = this.#floor()
    const start = params.reverse ? offset : Math.max(floor, offset)
    const low = params.reverse ? Math.max(floor, offset - params.limit, chunks[0]?.first ?? offset) : start
    const high = params.reverse ? offset : Math.min(this.#durableHead, start + params.limit, chunks.at(-1)?.next ?? start)
    const ranges = chunks.map((chunk) => cut(chunk, low, high)).filter(({ first, next }) => first < next)
    const page = ranges.length > 0 ? join(ranges) : { first: start, next: start, runs: '', body: '' }
    const more = params.reverse ? page.first > floor : page.next < this.#durableHead
    const skipped: GapFacts | undefined = start > offset ? { from: gap?.from ?? offset, to: start, reason: gap?.reason ?? 'retention' } : gap
    return [{ name: 'send', links: [link], text: encodeHistory(id, { epoch: this.#epoch, more, ...(skipped && { gap: skipped }) }, page) }]
  }

  // ---- time

  #due(nowMs: number): LogEffect[] {
    const effects: LogEffect[] = []
    for (const [link, { identity }] of [...this.#links]) {
      if (expired(identity, nowMs)) effects.push(...this.#expel(link, null, fault('token_expired')))
      else if (identity.expiresAt !== undefined) effects.push({ name: 'wake-at', at: identity.expiresAt })
    }
    if (this.#segments.excess(this.#now) > 0 && !this.#inFlight) effects.push(...this.#commit(true))
    return [...effects, ...this.#planSweep()]
  }

  /** What is too old is deleted at the latest an hour after, without any publish. */
  #planSweep(): LogEffect[] {
    const agesAt = this.#segments.agesAt()
    this.#sweepAt = agesAt === undefined ? undefined : Math.max(agesAt, this.#now + LIMITS.sweepMs)
    return this.#sweepAt === undefined ? [] : [{ name: 'wake-at', at: this.#sweepAt }]
  }
}

function answer(link: number, id: number, result: object): LogEffect[] {
  return [{ name: 'send', links: [link], text: encodeResult(id, result) }]
}

function answerError(link: number, id: number | null, reason: Fault): LogEffect[] {
  return [{ name: 'send', links: [link], text: encodeError(id, reason) }]
}

/** Fates from position `end` of a frame on, where a payload of it cannot be stored. One among the repeats was stored once and is no matter. */
function refusal(first: number, end: number, count: number, { index, fault: { code, message } }: Refused): Fate[] {
  const refused = index === end ? 1 : 0
  const fates: Fate[] = refused ? [{ fate: 'refused', first: first + end, count: 1, code, message }] : []
  const unsent = count - end - refused
  return unsent > 0 ? [...fates, { fate: 'unsent', first: first + end + refused, count: unsent }] : fates
}

function expired({ expiresAt }: Identity, nowMs: number): boolean {
  return expiresAt !== undefined && expiresAt <= nowMs
}

function headBytes(heads: readonly ChunkHead[]): number {
  return heads.reduce((bytes, { runs, users }) => bytes + runs.length + users.length, 0)
}

function announced(): AnnouncedLimits {
  return Object.fromEntries(ANNOUNCED_LIMITS.map((name) => [name, LIMITS[name]])) as AnnouncedLimits
}

