import type { Random } from './random.ts'

interface Entry {
  readonly at: number
  readonly tie: number
  readonly run: () => void
}

/** No history takes nearly as many. */
const STEPS = 150_000

/** Virtual time: what is due next runs next; what is due at once runs in an order that the seed decides. */
export class Scheduler {
  /** In ms since 1970, with fractions that keep things in order; clocks show whole ones. */
  now = 1_700_000_000_000
  steps = 0
  #failure: Error | undefined
  readonly #random: Random
  readonly #heap: Entry[] = []

  constructor(random: Random) {
    this.#random = random
  }

  get wall(): number {
    return Math.floor(this.now)
  }

  in(ms: number, run: () => void): void {
    this.#push({ at: this.now + ms, tie: this.#random.next(), run })
  }

  at(at: number, run: () => void): void {
    this.in(Math.max(0, at - this.now), run)
  }

  /** One event of one machine. */
  event(): void {
    if (++this.steps <= STEPS) return
    // What goes round in circles takes no time. Whoever is told in between may catch it, and then it ends with the next step.
    this.#failure ??= new Error(`No end after ${STEPS} steps`)
    throw this.#failure
  }

  /** Run what is due next, up to a moment. @returns false if nothing is due before; then it is that moment */
  step(until: number): boolean {
    if (this.#failure) throw this.#failure
    const next = this.#heap[0]
    if (!next || next.at > until) {
      this.now = Math.max(this.now, until)
      return false
    }
    this.#pop()
    this.now = next.at
    this.event()
    next.run()
    return true
  }

  /** Run until a moment or until `done` says so. @returns whether `done` was reached */
  run(until: number, done: () => boolean = () => false): boolean {
    while (!done()) if (!this.step(until)) return done()
    return true
  }

  #push(entry: Entry): void {
    const heap = this.#heap
    let i = heap.push(entry) - 1
    while (i > 0) {
      const parent = (i - 1) >> 1
      if (!before(entry, heap[parent] as Entry)) break
      heap[i] = heap[parent] as Entry
      i = parent
    }
    heap[i] = entry
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop() as Entry
    if (heap.length === 0) return
    let i = 0
    for (;;) {
      let child = 2 * i + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && before(heap[child + 1] as Entry, heap[child] as Entry)) child++
      if (!before(heap[child] as Entry, last)) break
      heap[i] = heap[child] as Entry
      i = child
    }
    heap[i] = last
  }
}

function before(a: Entry, b: Entry): boolean {
  return a.at < b.at || (a.at === b.at && a.tie < b.tie)
}
