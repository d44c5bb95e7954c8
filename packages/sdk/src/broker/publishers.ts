import { type Fault, fault } from '../protocol/error-codes.ts'
import type { Fate } from '../protocol/frames/publish.ts'
import { LIMITS } from '../protocol/limits.ts'

/**
 * Who has published what: by it a repeat is recognised, and a hole in a publisher's sequence noticed (promise G3).
 *
 * A mark is the newest stored sequence of one publisher, with spans that map the newest sequences to their offsets. A frame
 * `after, first, …` is accepted if `after ≤ last < sequence`. What is at or below `last` is a repeat; `after > last` says that
 * something before it has not arrived. A refused message leaves no trace here: the client drops it from its own count.
 */
export interface Mark {
  last: number
  /** When it was last used, in ms since 1970. */
  at: number
  /** Oldest first. */
  spans: Span[]
}

export interface Span {
  readonly sequence: number
  readonly offset: number
  count: number
}

/** How many leading messages of a frame are repeats, or why the frame cannot be taken. */
export type Verdict = { readonly repeats: number } | Fault

/** Every other key has a dot. */
const UNNAMED = ''

export class Publishers {
  readonly #marks = new Map<string, Mark>()
  #spanCount = 0

  /** A publisher belongs to a user: knowing the id of somebody else's is worth nothing. Whoever names none is not recognised again. */
  static key(user: string, publisher: string | undefined): string {
    return publisher === undefined ? UNNAMED : `${user}.${publisher}`
  }

  /** The same where it is only asked whose something is. No publisher may be called so. */
  static owner(user: string, publisher: string | undefined): string {
    return `${user}.${publisher ?? '-'}`
  }

  static isNamed(owner: string): boolean {
    return !owner.endsWith('.-')
  }

  check(key: string, { after, first, count }: { after: number; first: number; count: number }): Verdict {
    const mark = this.#marks.get(key)
    if (after >= first) return fault('bad_params', 'after: the newest earlier sequence is below first')
    if (key === UNNAMED) return { repeats: 0 }
    if (!mark) return after === 0 ? { repeats: 0 } : fault('publisher_expired')
    if (after > mark.last) return fault('sequence_gap', `the newest sequence stored of this publisher is ${mark.last}`)
    return { repeats: Math.min(count, Math.max(0, mark.last - first + 1)) }
  }

  record(
    key: string,
    { first, count, offset, at }: { first: number; count: number; offset: number; at: number },
  ): void {
    if (key === UNNAMED) return
    const mark: Mark = this.#marks.get(key) ?? { last: 0, at, spans: [] }
    if (mark.last === 0) this.#marks.set(key, mark)
    const newest = mark.spans.at(-1)
    if (newest && newest.sequence + newest.count === first && newest.offset + newest.count === offset)
      newest.count += count
    else {
      mark.spans.push({ sequence: first, offset, count })
      this.#spanCount++
    }
    mark.last = first + count - 1
    mark.at = at
    this.#forgetSpans(mark, LIMITS.publisherWindow)
  }

  /** Nothing new is taken of theirs, and repeats are told as such. */
  turnAway(
    key: string,
    { after, first, count }: { after: number; first: number; count: number },
    reason: Fault,
  ): Fate[] | Fault {
    const verdict = this.check(key, { after, first, count })
    if ('code' in verdict) return verdict
    const { repeats } = verdict
    if (repeats === 0) return reason
    const fates = this.repeats(key, first, repeats)
    if (count > repeats) fates.push({ fate: 'refused', first: first + repeats, count: count - repeats, ...reason })
    return fates
  }

  /** The fates of repeats: where they are stored, as far as that is remembered. */
  repeats(key: string, first: number, count: number): Fate[] {
    const fates: Fate[] = []
    const end = first + count
    let sequence = first
    for (const span of this.#marks.get(key)?.spans ?? []) {
      if (span.sequence + span.count <= sequence) continue
      if (span.sequence >= end) break
      if (span.sequence > sequence) fates.push({ fate: 'duplicate', first: sequence, count: span.sequence - sequence })
      const from = Math.max(sequence, span.sequence)
      const to = Math.min(end, span.sequence + span.count)
      fates.push({ fate: 'duplicate', first: from, count: to - from, offset: span.offset + from - span.sequence })
      sequence = to
    }
    if (sequence < end) fates.push({ fate: 'duplicate', first: sequence, count: end - sequence })
    return fates
  }

  /** Far above its bounds between two checkpoints: the next one is due. */
  get crowded(): boolean {
    return this.#marks.size > 2 * LIMITS.publishersPerTopic || this.#spanCount > 2 * LIMITS.spansPerTopic
  }

  /**
   * Forget who was silent for long and has no message left from `floor` on, then the most silent ones above the bounds. Runs with each
   * checkpoint.
   * @returns whose marks have changed or are gone
   */
  prune(nowMs: number, floor: number): Set<string> {
    const changed = new Set<string>()
    const oldest = [...this.#marks].sort(([, a], [, b]) => a.at - b.at)
    for (const [key, mark] of oldest) {
      const gone = nowMs - mark.at > LIMITS.publisherIdleMs && endOf(mark) <= floor
      if (!gone && this.#marks.size <= LIMITS.publishersPerTopic) continue
      this.#marks.delete(key)
      this.#spanCount -= mark.spans.length
      changed.add(key)
    }
    for (const [key, mark] of oldest) {
      if (this.#spanCount <= LIMITS.spansPerTopic) break
      if (changed.has(key) || mark.spans.length === 1) continue
      this.#forgetSpans(mark, 1)
      changed.add(key)
    }
    return changed
  }

  get(key: string): Mark | undefined {
    return this.#marks.get(key)
  }

  entries(): Iterable<readonly [string, Mark]> {
    return this.#marks
  }

  restore(key: string, mark: Mark): void {
    this.#marks.set(key, mark)
    this.#spanCount += mark.spans.length
  }

  /** Drop the oldest spans that the newest `keep` messages do not need. */
  #forgetSpans(mark: Mark, keep: number): void {
    let covered = 0
    let index = mark.spans.length
    while (index > 0 && covered < keep) covered += (mark.spans[--index] as Span).count
    if (index > 0) this.#spanCount -= mark.spans.splice(0, index).length
  }
}

/** The offset behind a publisher's newest message. */
function endOf({ spans }: Mark): number {
  const newest = spans.at(-1)
  return newest ? newest.offset + newest.count : 0
}
