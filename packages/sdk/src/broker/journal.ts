import { type Fault, fault } from '../protocol/error-codes.ts'
import type { Fate, PublishResult } from '../protocol/frames/publish.ts'
import { LIMITS } from '../protocol/limits.ts'
import type { Lines, PublishRequest } from '../protocol/requests.ts'
import { utf8Bytes } from '../protocol/text.ts'
import type { Chunk, ChunkHead, Commit, Loaded } from '../store/store.ts'
import { Appender } from './appender.ts'
import { bucketOf, RATES_BUCKET, recover, writeBuckets, writeIndex } from './checkpoint.ts'
import type { Identity } from './machine.ts'
import { firstOversized } from './oversized.ts'
import { Publishers } from './publishers.ts'
import { cutLines } from './range.ts'
import type { Rates } from './rates.ts'
import type { Retention, Segments } from './retention.ts'
import type { Allowed } from './rights.ts'

/** What one commit writes, and the same as new chunks for those who follow the log's end. */
export interface Entry {
  readonly write: Omit<Commit, 'expect'>
  readonly fresh: readonly Chunk[]
  readonly bytes: number
}

/**
 * What a log stores: takes messages in, gives them offsets, and says what each commit writes: rows, now and then a checkpoint, and
 * with it what is trimmed. It is ahead of the store: what it has taken in counts as stored as soon as its commit is durable.
 */
export class Journal {
  readonly #publishers: Publishers
  readonly #rates: Rates
  readonly #segments: Segments
  readonly #appender: Appender
  #dirty: Set<number>
  #chunksSinceCheckpoint: number
  #bytesSinceCheckpoint: number
  /** The log's time, which never runs backwards. */
  #now: number

  constructor(loaded: Loaded, retention: Retention) {
    const { publishers, rates, segments, dirty, head, bytes, at } = recover(loaded, retention)
    this.#publishers = publishers
    this.#rates = rates
    this.#segments = segments
    this.#dirty = dirty
    this.#chunksSinceCheckpoint = loaded.heads.length
    this.#bytesSinceCheckpoint = headBytes(loaded.heads)
    this.#now = at
    this.#appender = new Appender({ head, bytes, tail: loaded.tail })
  }

  /** Offset and byte position behind everything taken in. */
  get end(): { head: number; bytes: number } {
    return { head: this.#appender.head, bytes: this.#appender.bytes }
  }

  get empty(): boolean {
    return this.#appender.empty
  }

  get waitingBytes(): number {
    return this.#appender.waitingBytes
  }

  /** First offset that is served. */
  get floor(): number {
    return this.#segments.floor(this.#now)
  }

  /** Whether something could be deleted by now. */
  get trimmable(): boolean {
    return this.#segments.excess(this.#now) > 0
  }

  /** When the oldest messages become too old; not within `LIMITS.sweepMs`. */
  get sweepAt(): number | undefined {
    const agesAt = this.#segments.agesAt()
    return agesAt === undefined ? undefined : Math.max(agesAt, this.#now + LIMITS.sweepMs)
  }

  tick(nowMs: number): void {
    this.#now = Math.max(this.#now, nowMs)
  }

  /**
   * The fates of a frame's messages, once the next commit is durable, or why none of them can be taken.
   * @param nowMs by it rates are counted: unlike the log's own time it may go back, and then goes on from there
   */
  accept(
    _: Allowed<'publish'>,
    { key: user, limits = {} }: Identity,
    { params, lines }: PublishRequest,
    nowMs: number,
  ): Omit<PublishResult, 'epoch'> | Fault {
    const { publisher, after, first, ids, keys } = params
    const key = Publishers.key(user, publisher)
    const verdict = this.#publishers.check(key, { after, first, count: lines.count })
    if ('code' in verdict) return verdict
    const { repeats } = verdict
    const { rate, messageBytes } = limits
    const refused = messageBytes === undefined ? lines.refused : firstOversized(lines, messageBytes)
    const good = Math.max(repeats, refused?.index ?? lines.count)
    // Repeats were paid for when they were stored.
    const end = rate ? Math.min(good, repeats + this.#rates.room(user, rate, nowMs)) : good
    if (end === 0 && good > 0 && rate)
      return tooOften('published', this.#rates.waitMs(user, rate, { count: good, nowMs }))
    const fates: Fate[] = repeats > 0 ? this.#publishers.repeats(key, first, repeats) : []
    if (end > repeats) {
      const count = end - repeats
      if (rate) this.#rates.spend(user, rate, { count, nowMs })
      const offset = this.#appender.head
      const whole = count === lines.count
      const body = whole ? lines.body : cutLines(lines.body, repeats, end)
      const extras =
        ids || keys
          ? {
              ...(ids && { ids: [ids[0], ids[1] + repeats] as [string, number] }),
              ...(keys && { keys: keys.slice(repeats, end) }),
            }
          : undefined
      const bytes = whole ? lines.bytes : utf8Bytes(body)
      const at = this.#appender.offer(
        { user, publisher, first: first + repeats, count, extras, body, bytes },
        this.#now,
      )
      this.#publishers.record(key, { first: first + repeats, count, offset, at })
      this.#dirty.add(bucketOf(key))
      fates.push({ fate: 'stored', first: first + repeats, count, offset })
    }
    // What stands behind a refused message is not looked at: if it were stored, a client that dies before it has noted the refusal
    // would be told that the refused one is a repeat.
    if (end < lines.count) fates.push(...rest({ first, end, count: lines.count }, refused))
    return rate && end < good
      ? { fates, retryAfterMs: this.#rates.waitMs(user, rate, { count: good - end, nowMs }) }
      : { fates }
  }

  /**
   * The fates of a frame from somebody who may not publish, or not any more. What was stored while they might, and was not heard of, is a
   * repeat like any other: told that it is refused, they would publish it again.
   */
  turnAway(user: string, { params, lines }: PublishRequest, reason: Fault): Fate[] | Fault {
    const { publisher, after, first } = params
    const key = Publishers.key(user, publisher)
    return this.#publishers.turnAway(key, { after, first, count: lines.count }, reason)
  }

  /** Everything taken in since the last seal as one commit. */
  seal(trimming = false): Entry {
    const bytes = this.#appender.waitingBytes
    const { replaceTail, append, fresh } = this.#appender.seal()
    for (const row of replaceTail ? [replaceTail] : append)
      this.#segments.append({ ...row, newestAt: fresh[0]?.at ?? row.at })
    this.#chunksSinceCheckpoint += append.length
    this.#bytesSinceCheckpoint += headBytes(append)
    const checkpoint = trimming || this.#checkpointDue() || this.#segments.excess(this.#now) >= LIMITS.trimSegments
    const written = checkpoint ? this.#checkpoint() : undefined
    const rates = this.#rates.write()
    return {
      write: {
        ...(replaceTail && { replaceTail }),
        append,
        ...written,
        ...(rates !== undefined && {
          checkpoint: [...(written?.checkpoint ?? []), [RATES_BUCKET, rates]],
        }),
      },
      fresh,
      bytes,
    }
  }

  /** What waking reads is bounded by rows and by bytes: a row can consist of keys almost alone. */
  #checkpointDue(): boolean {
    return (
      this.#chunksSinceCheckpoint >= LIMITS.checkpointChunks ||
      this.#bytesSinceCheckpoint >= LIMITS.checkpointBytes ||
      this.#publishers.crowded
    )
  }

  /** Publishers and the index as they are with this commit; everything before it may then be trimmed. */
  #checkpoint(): { trimBelow: number; checkpoint: (readonly [number, string])[] } {
    const trimBelow = this.#segments.trim(this.#now)
    this.#appender.trimmed(trimBelow)
    for (const key of this.#publishers.prune(this.#now, trimBelow)) this.#dirty.add(bucketOf(key))
    const index = writeIndex({
      next: this.#appender.head,
      bytes: this.#appender.bytes,
      at: this.#now,
      segments: this.#segments.list,
    })
    const checkpoint = [index, ...writeBuckets(this.#publishers, this.#dirty)]
    this.#dirty = new Set()
    this.#chunksSinceCheckpoint = 0
    this.#bytesSinceCheckpoint = 0
    return { trimBelow, checkpoint }
  }
}

/**
 * Fates from position `end` of a frame on, where a payload of it cannot be stored, or cannot now. A refused one among the repeats was stored
 * once and is no matter; one that the rate has not reached is looked at when it comes again.
 */
export function rest(
  { first, end, count }: { first: number; end: number; count: number },
  refused: Lines['refused'],
): Fate[] {
  const fates: Fate[] = []
  if (refused?.index === end) {
    const { code, message } = refused.fault
    fates.push({ fate: 'refused', first: first + end, count: 1, code, message })
  }
  const at = end + fates.length
  return at < count ? [...fates, { fate: 'unsent', first: first + at, count: count - at }] : fates
}

export function tooOften(what: 'published' | 'enqueued', retryAfterMs: number): Fault {
  return { ...fault('limit_reached', `limit-rate: the user has ${what} as much as the policy allows`), retryAfterMs }
}

function headBytes(heads: readonly ChunkHead[]): number {
  return heads.reduce((bytes, { runs, users }) => bytes + runs.length + users.length, 0)
}
