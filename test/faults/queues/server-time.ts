import type { StampedEvent } from './events.ts'

interface Stretch {
  readonly from: number
  readonly to: number
  readonly offsetMs: number
  /** The highest that a clock could show before, in this life. */
  readonly reached: number
}

/**
 * What the server's clock may have shown, in ms, by the clock that all processes of a machine share. In one life of a server time does not
 * run backwards for an object, whatever is done to the clock; in the next one it does.
 */
export class ServerTime {
  readonly #stretches: Stretch[] = []

  constructor(events: readonly StampedEvent[]) {
    let [from, offsetMs, reached] = [Number.NEGATIVE_INFINITY, 0, Number.NEGATIVE_INFINITY]
    for (const [ns, event] of events) {
      if (event.e !== 'clock' && event.e !== 'life') continue
      const to = ns / 1e6
      this.#stretches.push({ from, to, offsetMs, reached })
      reached = event.e === 'life' ? Number.NEGATIVE_INFINITY : Math.max(reached, to + offsetMs)
      from = to
      if (event.e === 'clock') offsetMs = event.offsetMs
    }
    this.#stretches.push({ from, to: Number.POSITIVE_INFINITY, offsetMs, reached })
  }

  /** When it was set, or the server began another life. */
  get changes(): number[] {
    return this.#stretches.slice(1).map(({ from }) => from)
  }

  /** The least that it may have shown. */
  reading(at: number): number {
    return at + (this.#stretches.find(({ to }) => at < to) as Stretch).offsetMs
  }

  /** The first moment, not before `from`, at which it may have shown so much. */
  reaches(reading: number, from: number): number {
    for (const { from: begin, to, offsetMs, reached } of this.#stretches) {
      if (to <= from) continue
      const earliest = Math.max(from, begin)
      if (reached >= reading) return earliest
      const at = Math.max(earliest, reading - offsetMs)
      if (at < to) return at
    }
    return Number.POSITIVE_INFINITY
  }
}
