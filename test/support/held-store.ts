import type { Chunk, Commit, Loaded, LogStore, Maybe } from '../../packages/sdk/src/store/store.ts'

/** A place that calls pass, unless it is held; then they wait there, in order. */
export class Gate {
  /** Calls that came, whether they have passed or not. */
  count = 0
  #held: (() => void)[] | undefined
  readonly #failures: unknown[] = []
  #arrived: (() => void)[] = []

  hold(): void {
    this.#held ??= []
  }

  /** Lets go of all that wait, and holds nothing more. */
  release(): void {
    const held = this.#held ?? []
    this.#held = undefined
    for (const go of held) go()
  }

  /** Lets the oldest one go. */
  releaseOne(): void {
    this.#held?.shift()?.()
  }

  /** The next call fails without having done anything. */
  failNext(error: unknown): void {
    this.#failures.push(error)
  }

  /** Resolves once so many calls wait here. */
  async reached(waiting = 1): Promise<void> {
    while ((this.#held?.length ?? 0) < waiting) await new Promise<void>((resolve) => this.#arrived.push(resolve))
  }

  pass<T>(act: () => Maybe<T>): Maybe<T> {
    this.count++
    if (this.#failures.length > 0) throw this.#failures.shift()
    if (!this.#held) return act()
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#held.push(resolve)
    const arrived = this.#arrived
    this.#arrived = []
    for (const tell of arrived) tell()
    return promise.then(act)
  }
}

/** Any store, whose answers can be held back or made to fail: so a test reaches what lies between the steps. */
export class HeldStore implements LogStore {
  readonly commits = new Gate()
  readonly flushes = new Gate()
  readonly reads = new Gate()
  readonly inner: LogStore

  constructor(inner: LogStore) {
    this.inner = inner
  }

  load(newEpoch: string): Maybe<Loaded> {
    return this.inner.load(newEpoch)
  }

  commit(commit: Commit): Maybe<void> {
    return this.commits.pass(() => this.inner.commit(commit))
  }

  durable(): Maybe<void> {
    return this.flushes.pass(() => this.inner.durable())
  }

  read(from: number, maxBytes: number): Maybe<readonly Chunk[]> {
    return this.reads.pass(() => this.inner.read(from, maxBytes))
  }

  readBefore(to: number, maxBytes: number): Maybe<readonly Chunk[]> {
    return this.reads.pass(() => this.inner.readBefore(to, maxBytes))
  }
}
