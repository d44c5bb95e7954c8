import { LIMITS } from '../protocol/limits.ts'
import type { Rate } from './machine.ts'

/** `debt` is what was published and not paid for by time yet, in messages × `periodMs`: whole numbers, so nothing is lost by rounding. */
interface Bucket {
  readonly debt: number
  readonly periodMs: number
  readonly at: number
}

type Row = readonly [user: string, debt: number, periodMs: number, at: number]

/** A home may lose its memory this long after its last event. What fills up in that time need not be kept. */
const SLEEP_MS = 10_000
/** Whoever has to wait is told to come when so much is free at once, or all that they have: more would be late, less would be often. */
const WORTH_PART = 1 / 4

/**
 * How much each user has published at this topic lately: a bucket per user that holds `count` messages and fills up again in one period.
 *
 * Buckets outlive links, so that a new connection is no new bucket. Those of longer periods are written down with every commit that used
 * them: if not all of it was kept, whoever lets a topic fall asleep again and again would get the difference each time. It costs a row.
 *
 * Users beyond the bounds whose last message is the oldest are forgotten, and begin with a full bucket.
 */
export class Rates {
  /** Who published last stands last. */
  readonly #buckets = new Map<string, Bucket>()
  #unsaved = false

  /** How many messages a user may publish now. */
  room(user: string, rate: Rate, nowMs: number): number {
    return rate.count - Math.ceil(this.#debt(user, rate, nowMs) / rate.periodMs)
  }

  /** @param count not more than there is room for */
  spend(user: string, rate: Rate, { count, nowMs }: { count: number; nowMs: number }): void {
    const { periodMs } = rate
    const debt = this.#debt(user, rate, nowMs) + count * periodMs
    this.#buckets.delete(user)
    this.#buckets.set(user, { debt, periodMs, at: nowMs })
    if (this.#buckets.size > LIMITS.ratesPerTopic) this.#buckets.delete(this.#buckets.keys().next().value as string)
    this.#unsaved ||= periodMs > SLEEP_MS
  }

  /** How long it takes until it is worth asking again for so many. */
  waitMs(user: string, rate: Rate, { count, nowMs }: { count: number; nowMs: number }): number {
    const worth = Math.min(count, Math.ceil(rate.count * WORTH_PART))
    const excess = this.#debt(user, rate, nowMs) - (rate.count - worth) * rate.periodMs
    return Math.max(1, Math.ceil(excess / rate.count))
  }

  #debt(user: string, { count, periodMs }: Rate, nowMs: number): number {
    const bucket = this.#buckets.get(user)
    if (!bucket) return 0
    // A policy may have changed the period since; and a clock that was set back has let no time pass.
    const debt = bucket.periodMs === periodMs ? bucket.debt : Math.ceil((bucket.debt / bucket.periodMs) * periodMs)
    const elapsedMs = Math.min(periodMs, Math.max(0, nowMs - bucket.at))
    return Math.max(0, Math.min(debt, count * periodMs) - elapsedMs * count)
  }

  // ---- kept beside the log

  /** Whether something has. */
  get unsaved(): boolean {
    return this.#unsaved
  }

  /** What has to be written down with the next commit; `undefined` if nothing has changed. */
  write(): string | undefined {
    if (!this.#unsaved) return undefined
    this.#unsaved = false
    const rows: Row[] = []
    for (const [user, { debt, periodMs, at }] of [...this.#buckets].reverse()) {
      if (rows.length === LIMITS.keptRates) break
      if (periodMs > SLEEP_MS) rows.push([user, debt, periodMs, at])
    }
    return JSON.stringify(rows.reverse())
  }

  restore(text: string): void {
    for (const [user, debt, periodMs, at] of JSON.parse(text) as Row[]) this.#buckets.set(user, { debt, periodMs, at })
  }
}
