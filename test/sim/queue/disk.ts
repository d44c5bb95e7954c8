import { CLAIMABLE, LANES } from '../../../packages/sdk/src/broker/job.ts'
import { MemoryQueueStore } from '../../../packages/sdk/src/store/memory-queue.ts'
import type { JobRow, QueueCommit, QueueStore } from '../../../packages/sdk/src/store/queue-store.ts'
import { Later } from '../later.ts'
import type { QueueWorld } from './world.ts'

/** As on links: what keeps things in order that happen at once. */
const TICK_MS = 0.001
const ALL = { maxJobs: 1e9, maxBytes: 1e9 }

/**
 * The disk of a queue's home. By the seed it answers at once, is durable later, or answers everything later, in order. Of what is not
 * durable when the machine crashes a part is there afterwards: the oldest, as many as chance wants.
 */
export class QueueDisk {
  readonly #world: QueueWorld
  /** What a crash leaves, and what the running machine reads. */
  #durable = new MemoryQueueStore()
  #seen = this.#durable
  #undurable: QueueCommit[] = []
  #life = 0
  #lastAt = 0
  #pending = 0
  #epoch = ''

  constructor(world: QueueWorld) {
    this.#world = world
  }

  /** Nothing is on its way to somebody. */
  get idle(): boolean {
    return this.#undurable.length === 0 && this.#pending === 0
  }

  mount(): QueueStore {
    const life = ++this.#life
    this.#pending = 0
    this.#epoch ||= 'the queue'
    this.#durable.load(this.#epoch)
    this.#seen = this.#world.swarm.store === 'flushed later' ? copy(this.#durable, this.#epoch) : this.#durable
    const read = <T>(work: () => T): T | Promise<T> =>
      this.#world.swarm.store === 'all later' ? this.#later(life, work) : work()
    return {
      load: (epoch) => read(() => this.#seen.load(epoch)),
      page: (...asked) => read(() => this.#seen.page(...asked)),
      get: (places) => read(() => this.#seen.get(places)),
      since: (id, lanes) => read(() => this.#seen.since(id, lanes)),
      find: (ids) => read(() => this.#seen.find(ids)),
      count: (...asked) => read(() => this.#seen.count(...asked)),
      commit: (commit) => this.#commit(life, commit),
      durable: () => this.#flush(life),
    }
  }

  crash(): void {
    this.#life++
    this.#lose()
  }

  /** Every row that is left, by lane. */
  rows(): JobRow[] {
    return Array.from({ length: LANES.keys + 1 }, (_, lane) => [...this.#durable.page(lane, undefined, ALL)]).flat()
  }

  /** As the running machine reads it. */
  seen(): JobRow[] {
    return Array.from({ length: LANES.keys + 1 }, (_, lane) => [...this.#seen.page(lane, undefined, ALL)]).flat()
  }

  /** Whether another tick will come. */
  get scheduled(): boolean {
    const { facts } = this.#durable.load(this.#epoch)
    return facts.some(([name, text]) => {
      if (!name.startsWith('s:')) return false
      const { next, paused } = JSON.parse(text) as { next?: number; paused: boolean }
      return next !== undefined && !paused
    })
  }

  get waiting(): number {
    return this.rows().filter(({ lane }) => lane < CLAIMABLE).length
  }

  #commit(life: number, commit: QueueCommit): void | Promise<void> {
    for (const { from, to } of commit.move)
      if (from.lane === LANES.dead && to.lane < LANES.dead) this.#world.server.truth.redriven(from.id)
    const fails = this.#world.chance(this.#world.swarm.commitFailure)
    if (this.#world.crashing()) {
      // The machine is gone between the commit and its answer.
      this.#undurable.push(commit)
      this.#world.crash()
      return new Later<void>()
    }
    if (this.#world.swarm.store === 'all later') {
      this.#undurable.push(commit)
      const written = !fails || this.#world.random.chance(0.5)
      return this.#later(life, () => {
        this.#undurable.shift()
        if (written) this.#keep(commit)
        if (fails) this.#fail(written ? 'commit failed and was written' : 'commit failed')
      })
    }
    if (fails) this.#fail('commit failed')
    if (this.#seen === this.#durable) this.#keep(commit)
    else {
      this.#seen.commit(commit)
      this.#undurable.push(commit)
    }
  }

  #flush(life: number): void | Promise<void> {
    if (this.#world.swarm.store !== 'flushed later') return
    const fails = this.#world.chance(this.#world.swarm.commitFailure)
    return this.#later(life, () => {
      if (fails) {
        this.#lose()
        this.#fail('flush failed')
      }
      for (const commit of this.#undurable.splice(0)) this.#keep(commit)
    })
  }

  /** From here on nothing can be lost. */
  #keep(commit: QueueCommit): void {
    this.#durable.commit(commit)
    this.#world.ticks?.durable(commit)
  }

  #lose(): void {
    const kept = this.#world.random.between(0, this.#undurable.length)
    for (const commit of this.#undurable.splice(0).slice(0, kept)) this.#keep(commit)
    if (this.#seen !== this.#durable) this.#seen = copy(this.#durable, this.#epoch)
  }

  #later<T>(life: number, work: () => T): Promise<T> {
    const { clock, random, swarm } = this.#world
    const answer = new Later<T>()
    // One after the other, as a database has its transactions.
    this.#pending++
    this.#lastAt = Math.max(this.#lastAt, clock.now + random.next() * swarm.storeMs)
    clock.at(this.#lastAt + TICK_MS, () => {
      if (life !== this.#life) return
      this.#pending--
      answer.try(work)
    })
    this.#lastAt += TICK_MS
    return answer
  }

  #fail(what: string): never {
    this.#world.fault(what)
    throw new Error('simulated')
  }
}

function copy(store: MemoryQueueStore, epoch: string): MemoryQueueStore {
  const twin = new MemoryQueueStore()
  const { facts } = store.load(epoch)
  const put = Array.from({ length: LANES.keys + 1 }, (_, lane) => [...store.page(lane, undefined, ALL)]).flat()
  twin.load(epoch)
  twin.commit({ put, move: [], remove: [], facts })
  return twin
}
