import { LINE_BREAK } from '../protocol/codec.ts'
import type { Fate, Ids } from '../protocol/frames/publish.ts'

/** One message that its home has not acked yet. */
export interface Unsent {
  /** Its place among the messages of its publisher in its topic, from 1. */
  readonly sequence: number
  /** The payload's text, written once. */
  readonly line: string
  readonly key: string | undefined
  /** Its id is `<origin>-<number>`. */
  readonly origin: string
  readonly number: number
}

/** Consecutive messages as one frame carries them. */
export interface Batch {
  readonly first: number
  readonly count: number
  readonly after: number
  readonly ids: Ids | undefined
  readonly keys: (string | null)[] | undefined
  readonly body: string
}

/** A line break, and a key's quotes and comma, or `null,`. */
const BESIDE_BYTES = 8

/**
 * The unacked messages of one publisher in one topic, in order, and how far they have been sent. Pure bookkeeping: the session
 * asks for batches and reports fates; where entries come from and where their fates go is somebody else's matter.
 */
export class Publisher<T extends Unsent = Unsent> {
  readonly id: string
  /** Newest sequence that is settled and was not refused. */
  #settled: number
  /** Sequences grow, with holes where messages were refused. `#start` is the first that counts, to spare shifting. */
  #entries: T[] = []
  #start = 0
  /** Index of the first entry that this link has not carried. */
  #next = 0

  constructor(id: string, settled = 0) {
    this.id = id
    this.#settled = settled
  }

  get size(): number {
    return this.#entries.length - this.#start
  }

  /** Newest sequence that is settled and was not refused; what `after` of the next message would be if nothing waited. */
  get settled(): number {
    return this.#settled
  }

  add(entry: T): void {
    this.#entries.push(entry)
  }

  list(): T[] {
    return this.#entries.slice(this.#start)
  }

  /** The next batch within the bounds, or `undefined` if everything is on its way. */
  take(maxMessages: number, maxBytes: number): Batch | undefined {
    const first = this.#entries[this.#next]
    if (!first || maxMessages < 1) return undefined
    const lines: string[] = []
    let bytes = 0
    let keyed = false
    let index = this.#next
    for (; index < this.#entries.length && lines.length < maxMessages; index++) {
      const entry = this.#entries[index] as T
      const consecutive =
        entry.sequence === first.sequence + lines.length &&
        entry.origin === first.origin &&
        entry.number === first.number + lines.length
      // A UTF-16 unit makes at most 3 bytes, and 6 where a key is written as JSON; counting exactly would cost more than a
      // smaller frame does.
      bytes += entry.line.length * 3 + BESIDE_BYTES + (entry.key === undefined ? 0 : entry.key.length * 6)
      if (!consecutive || (bytes > maxBytes && lines.length > 0)) break
      keyed ||= entry.key !== undefined
      lines.push(entry.line)
    }
    const from = this.#next
    this.#next = index
    return {
      first: first.sequence,
      count: lines.length,
      after: from > this.#start ? (this.#entries[from - 1] as T).sequence : this.#settled,
      ids: first.origin === this.id && first.number === first.sequence ? undefined : [first.origin, first.number],
      keys: keyed ? this.#entries.slice(from, index).map(({ key }) => key ?? null) : undefined,
      body: lines.join(LINE_BREAK),
    }
  }

  /** Everything unsettled has to be sent (again): the link is new, or a message before it was refused. */
  rewind(): void {
    this.#next = this.#start
  }

  /** Whether everything before a sequence is settled. Fates count in order only: a later one comes again with the earlier. */
  settledBefore(sequence: number): boolean {
    return this.#indexOf(sequence) === this.#start
  }

  /** The entries that a fate concerns, which are settled with it; those settled before are left out. */
  settle({ fate, first, count }: Fate): T[] {
    const from = this.#indexOf(first)
    const to = this.#indexOf(first + count)
    if (fate === 'unsent' || to === from) return []
    const settled = this.#entries.slice(from, to)
    // What was refused, or redundant, leaves no trace at its home.
    if (fate[0] !== 'r') this.#settled = (settled.at(-1) as T).sequence
    this.#start = to
    this.#next = Math.max(to, this.#next)
    this.#compact()
    return settled
  }

  /** Take everything away, for a publisher that its home does not know any more. */
  clear(): T[] {
    const rest = this.list()
    this.#entries = []
    this.#start = this.#next = 0
    return rest
  }

  #indexOf(sequence: number): number {
    let low = this.#start
    for (let high = this.#entries.length; low < high; ) {
      const middle = (low + high) >> 1
      if ((this.#entries[middle] as T).sequence < sequence) low = middle + 1
      else high = middle
    }
    return low
  }

  #compact(): void {
    if (this.#start < 1_024 || this.#start * 2 < this.#entries.length) return
    this.#entries = this.#entries.slice(this.#start)
    this.#next -= this.#start
    this.#start = 0
  }
}
