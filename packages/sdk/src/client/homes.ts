import { TopicHome } from '../broker/home.ts'
import type { Retention } from '../broker/retention.ts'
import type { Home } from '../link/tab-links.ts'
import { Alarm, elapsed, now, random } from '../platform.ts'
import { makeEpoch } from '../protocol/epoch.ts'
import { readRequest } from '../protocol/trusted.ts'
import { queueAt } from '../protocol/version.ts'
import type { LogStore } from '../store/store.ts'
import type { QueueHomes } from './queue-homes.ts'

export interface HomesOptions {
  readonly retention: Retention
  readonly store: (topic: string) => LogStore
  /** Asked once, when the first queue is used. */
  readonly queues: () => Promise<QueueHomes>
  /** Increased by each tab that takes shared stores over. */
  readonly term: number
  readonly onFailed?: (name: string, error: unknown) => void
}

/** The homes of all local topics and queues in this process, each made when it is first used. */
export class Homes {
  readonly #options: HomesOptions
  readonly #homes = new Map<string, { home: TopicHome; alarm: Alarm }>()
  #queues: Promise<QueueHomes> | undefined
  #closed = false

  constructor(options: HomesOptions) {
    this.#options = options
  }

  /** @param address a topic's name, or a queue's {@link queueAddress} */
  get(address: string): Home | Promise<Home> {
    const queue = queueAt(address)
    return queue === undefined ? this.#topic(address) : this.#queue(queue)
  }

  async #queue(queue: string): Promise<Home> {
    this.#queues ??= this.#options.queues()
    // What could not be loaded now may be later.
    this.#queues.catch(() => {
      this.#queues = undefined
    })
    const queues = await this.#queues
    // Whoever leads next has homes of its own.
    if (this.#closed) throw new Error('The homes were closed')
    return queues.get(queue)
  }

  #topic(topic: string): TopicHome {
    const known = this.#homes.get(topic)
    if (known) return known.home
    const { retention, store, term, onFailed } = this.#options
    const alarm = new Alarm(() => home.due(), false)
    const home = new TopicHome({
      topic,
      retention,
      term,
      store: store(topic),
      decode: readRequest,
      now,
      newEpoch: () => makeEpoch(now(), random),
      wakeAt: (at) => alarm.set(elapsed() + at - now()),
      onFailed: (error) => onFailed?.(topic, error),
    })
    this.#homes.set(topic, { home, alarm })
    return home
  }

  close(): void {
    this.#closed = true
    for (const { alarm } of this.#homes.values()) alarm.clear()
    this.#homes.clear()
    this.#queues?.then(
      (queues) => queues.close(),
      () => {},
    )
  }
}
