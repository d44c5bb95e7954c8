import { LIMITS } from '../protocol/limits.ts'

/** How much of a topic is kept: at least this. Whatever is exceeded first cuts; a bound left out does not. */
export interface Retention {
  readonly messages?: number
  readonly ageMs?: number
  readonly bytes?: number
}

/** A stretch of the log between two places where it can be cut. */
export interface Segment {
  readonly first: number
  /** Byte position at `first`. */
  readonly start: number
  /** When its newest message was appended. */
  newestAt: number
}

/**
 * Where the log can be cut and where it is cut now. Segments are chunks at first; when they become too many, neighbours are
 * joined, so that the index stays small however long the log is, and cutting coarser: always at a chunk's edge, always keeping at
 * least what was asked.
 */
export class Segments {
  readonly #list: Segment[]
  readonly #retention: Retention
  #head: number
  #bytes: number

  constructor(list: Segment[], end: { head: number; bytes: number }, retention: Retention) {
    this.#list = list
    this.#head = end.head
    this.#bytes = end.bytes
    this.#retention = retention
  }

  /** A new row was appended, or the last one extended (then `first` is the extended row's). */
  append(row: { first: number; next: number; start: number; size: number; newestAt: number }): void {
    this.#head = row.next
    this.#bytes = row.start + row.size
    const last = this.#list.at(-1)
    if (last && row.first <= last.first) last.newestAt = row.newestAt
    else this.#list.push({ first: row.first, start: row.start, newestAt: row.newestAt })
    const cut = this.#cut(row.newestAt)
    if (this.#list.length - cut > LIMITS.segmentsPerTopic) this.#join(cut)
  }

  /** Offset of the first message that is served at `nowMs`. */
  floor(nowMs: number): number {
    const index = this.#cut(nowMs)
    return this.#list[index]?.first ?? this.#head
  }

  /** How many segments lie below the floor. */
  excess(nowMs: number): number {
    return this.#cut(nowMs)
  }

  /** Forget the segments below the floor; answers the offset below which everything may be deleted. */
  trim(nowMs: number): number {
    this.#list.splice(0, this.#cut(nowMs))
    return this.#list[0]?.first ?? this.#head
  }

  /** When the oldest segment becomes too old, if ever. */
  agesAt(): number | undefined {
    const oldest = this.#list[0]
    return oldest && this.#retention.ageMs !== undefined ? oldest.newestAt + this.#retention.ageMs : undefined
  }

  get list(): readonly Segment[] {
    return this.#list
  }

  /** Index of the first segment that is kept: the one before it would take away too much, or is not there. */
  #cut(nowMs: number): number {
    const { messages, ageMs, bytes } = this.#retention
    let index = 0
    for (; index < this.#list.length; index++) {
      const nextSegment = this.#list[index + 1]
      const kept = nextSegment
        ? { messages: this.#head - nextSegment.first, bytes: this.#bytes - nextSegment.start }
        : { messages: 0, bytes: 0 }
      const tooMany = messages !== undefined && kept.messages >= messages
      const tooLarge = bytes !== undefined && kept.bytes >= bytes
      const tooOld = ageMs !== undefined && (this.#list[index] as Segment).newestAt + ageMs < nowMs
      if (!tooMany && !tooLarge && !tooOld) break
    }
    return index
  }

  /** The place where the log is cut stays one, or what was gone would come back. */
  #join(from: number): void {
    for (let i = from; i + 1 < this.#list.length; i++) {
      ;(this.#list[i] as Segment).newestAt = (this.#list[i + 1] as Segment).newestAt
      this.#list.splice(i + 1, 1)
    }
  }
}
