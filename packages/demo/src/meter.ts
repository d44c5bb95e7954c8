const BUCKET_MS = 100
const BUCKETS = 10

/** How many a second, over the last second. */
export class Meter {
  readonly #counts = new Array<number>(BUCKETS).fill(0)
  #newest = 0

  add(count: number, nowMs: number): void {
    const bucket = this.#forget(nowMs)
    this.#counts[bucket % BUCKETS] = (this.#counts[bucket % BUCKETS] ?? 0) + count
  }

  perSecond(nowMs: number): number {
    this.#forget(nowMs)
    return this.#counts.reduce((sum, count) => sum + count, 0) / ((BUCKET_MS * BUCKETS) / 1_000)
  }

  /** Empties the buckets that are older than a second; answers which one is now's. */
  #forget(nowMs: number): number {
    const bucket = Math.floor(nowMs / BUCKET_MS)
    const passed = Math.min(bucket - this.#newest, BUCKETS)
    for (let i = 0; i < passed; i++) this.#counts[(bucket - i) % BUCKETS] = 0
    this.#newest = Math.max(this.#newest, bucket)
    return bucket
  }
}
