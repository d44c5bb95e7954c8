import { checkpointAt } from '../../packages/sdk/src/broker/checkpoint.ts'
import { LIMITS } from '../../packages/sdk/src/protocol/limits.ts'
import { MemoryStore } from '../../packages/sdk/src/store/memory.ts'
import { type Chunk, type Commit, type Loaded, type LogStore, StoreFull } from '../../packages/sdk/src/store/store.ts'
import { Kept } from './kept.ts'
import { Later } from './later.ts'
import type { World } from './world.ts'

const STALL_MS = 15_000

/**
 * The server's disk, with all ways in which a store may answer and fail. By the seed it is one that answers at once; one whose
 * commits can be read at once and are durable later (SQLite in a Durable Object); or one that answers everything later (IndexedDB).
 * What is not durable when the machine crashes is there afterwards, or not.
 */
export class Disk {
  readonly #world: World
  /** What a crash leaves, and what the running machine reads. */
  #durable = new MemoryStore()
  #seen = this.#durable
  #undurable: Commit[] = []
  #kept: Kept
  readonly #keptOf = new Map<string, Kept>()
  #life = 0
  #readings = 0
  #loading = false
  /** Bytes of the largest row so far. */
  largestRow = 0
  /** Empty until it was loaded for the first time. */
  epoch = ''

  constructor(world: World) {
    this.#world = world
    this.#kept = this.#clear()
  }

  /** The store as one life of the machine sees it. What it asked and has not heard is never answered to the next one. */
  mount(): LogStore {
    const life = ++this.#life
    this.#readings = 0
    this.#loading = false
    const { store, loadFailure, readFailure } = this.#world.swarm
    const reading = <T>(what: string, failure: number, read: () => T): T | Promise<T> => {
      const work = this.#world.chance(failure) ? () => this.#fail(what) : read
      if (store !== 'all later') return this.#atOnce(work)
      this.#readings++
      this.#world.rights?.reading()
      // What a reader gets may be as old as its question.
      const early = work === read && this.#world.random.chance(0.5) ? read() : undefined
      return this.#later(life, () => {
        this.#readings--
        this.#loading = false
        return early ?? work()
      })
    }
    return {
      load: (newEpoch) => {
        const loaded = reading('load failed', loadFailure, () => this.#load(newEpoch))
        this.#loading = loaded instanceof Promise
        return loaded
      },
      read: (from, maxBytes) => reading('read failed', readFailure, () => this.#seen.read(from, maxBytes)),
      readBefore: (to, maxBytes) => reading('read failed', readFailure, () => this.#seen.readBefore(to, maxBytes)),
      commit: (commit) => this.#commit(life, commit),
      durable: () => (store === 'flushed later' ? this.#flush(life) : undefined),
    }
  }

  /** Somebody waits for it, or a commit is not durable. */
  get reading(): boolean {
    return this.#readings > 0
  }

  /** What its home is told waits until it knows what is stored. */
  get loading(): boolean {
    return this.#loading
  }

  get undurable(): boolean {
    return this.#undurable.length > 0
  }

  /** Nobody runs any more who knows what is not durable: it is there afterwards, or not. */
  crash(): void {
    this.#life++
    this.#loading = false
    this.#lose()
  }

  /** The machine's memory is gone, and nothing of the disk's. */
  forget(): void {
    this.#life++
    this.#loading = false
    this.#settle()
  }

  /** Everything is gone for good; the next log has another name. */
  wipe(): void {
    this.#kept = this.#clear()
  }

  read(): readonly Chunk[] {
    return this.#durable.read(0, Number.POSITIVE_INFINITY)
  }

  /** Offset behind the newest durable message. */
  get head(): number {
    if (this.epoch === '') return 0
    const newest = this.#durable.readBefore(Number.POSITIVE_INFINITY, 0).at(-1)
    return newest ? newest.next : checkpointAt(this.#durable.load(this.epoch).checkpoint)
  }

  /** Below this offset everything may be gone. */
  floor(epoch: string, nowMs: number): number {
    return this.#keptOf.get(epoch)?.floor(nowMs) ?? 0
  }

  #clear(): Kept {
    this.epoch = ''
    this.#undurable = []
    this.#durable = new MemoryStore()
    this.#seen = this.#world.swarm.store === 'flushed later' ? new MemoryStore() : this.#durable
    return new Kept(this.#world.swarm.retention)
  }

  /** Whoever loads comes after all that is on its way, as in any database. */
  #load(newEpoch: string): Loaded {
    this.#settle()
    this.epoch ||= newEpoch
    this.#keptOf.set(this.epoch, this.#kept)
    this.#durable.load(this.epoch)
    return this.#seen.load(this.epoch)
  }

  #commit(life: number, commit: Commit): void | Promise<void> {
    this.#sample(commit)
    this.#kept.written(commit)
    this.#world.server.committing()
    if (commit.trimBelow === commit.expect.head && commit.append.length === 0) this.#world.count('all trimmed')
    const { store, commitFailure } = this.#world.swarm
    const fails = this.#world.chance(commitFailure)
    if (store === 'all later') {
      // An error says nothing about what was written: the answer alone may have been lost.
      const written = !fails || this.#world.random.chance(0.3)
      if (written) this.#undurable.push(commit)
      return this.#later(life, () => {
        if (this.#undurable.includes(commit)) this.#settle()
        if (fails) this.#fail(written ? 'commit failed and was written' : 'commit failed')
      })
    }
    this.#atOnce(() => {
      if (fails) this.#fail('commit failed')
      this.#seen.commit(commit)
      if (store === 'flushed later') this.#undurable.push(commit)
    })
  }

  #flush(life: number): Promise<void> {
    const fails = this.#world.chance(this.#world.swarm.commitFailure)
    return this.#later(life, () => {
      if (!fails) return this.#settle()
      this.#lose()
      this.#fail('flush failed')
    })
  }

  #settle(): void {
    for (const commit of this.#undurable) this.#durable.commit(commit)
    this.#undurable = []
  }

  #lose(): void {
    if (this.#undurable.length === 0) return
    if (this.#world.random.chance(0.5)) this.#settle()
    this.#undurable = []
    if (this.#seen !== this.#durable) this.#seen = copy(this.#durable, this.epoch)
  }

  /** An event like any other, also where nothing is waited for. */
  #atOnce<T>(work: () => T): T {
    this.#world.clock.event()
    return work()
  }

  #later<T>(life: number, work: () => T): Promise<T> {
    const { clock, random, swarm } = this.#world
    const stalls = this.#world.chance(swarm.storeStall)
    if (stalls) this.#world.fault('store stalled')
    const answer = new Later<T>()
    clock.in(random.next() * (stalls ? STALL_MS : swarm.storeMs), () => {
      if (life === this.#life) answer.try(work)
    })
    return answer
  }

  #fail(what: string): never {
    this.#world.fault(what)
    throw this.#world.random.chance(0.5) ? new StoreFull('simulated') : new Error('simulated')
  }

  /** The bounds of what is written. One message may be larger than a row, and one frame than all that may wait. */
  #sample({ replaceTail, append }: Commit): void {
    const sample = (bound: keyof typeof LIMITS, value: number, limit: number = LIMITS[bound]): void =>
      this.#world.record({ e: 'sample', bound, value, limit })
    for (const { size } of replaceTail ? [replaceTail] : append) this.largestRow = Math.max(this.largestRow, size)
    if (replaceTail) {
      sample('tailBytes', replaceTail.size)
      return
    }
    const bytes = append.reduce((sum, { body }) => sum + body.length, 0)
    sample('undurableBytes', bytes, Math.max(LIMITS.undurableBytes, this.#world.server.largestFrame))
    for (const { first, next, body } of append) if (next - first > 1) sample('rowBytes', body.length)
  }
}

function copy(store: MemoryStore, epoch: string): MemoryStore {
  const twin = new MemoryStore()
  const { checkpoint } = store.load(epoch)
  twin.load(epoch)
  twin.commit({ expect: { head: 0, term: 0 }, append: store.read(0, Number.POSITIVE_INFINITY), checkpoint })
  return twin
}
