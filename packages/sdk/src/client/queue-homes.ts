import { QueueHome } from '../broker/queue-home.ts'
import { NamesLink, pageOfQueues } from '../broker/queue-names.ts'
import type { Home } from '../link/tab-links.ts'
import { Alarm, elapsed, now, random } from '../platform.ts'
import { makeEpoch } from '../protocol/epoch.ts'
import { EVERY_QUEUE } from '../protocol/every-queue.ts'
import type { NamesRequest, QueuesParams, QueuesResult } from '../protocol/frames/queue-names.ts'
import type { QueueRequest } from '../protocol/queue-requests.ts'
import type { BadRequest } from '../protocol/requests.ts'
import { readRequest } from '../protocol/trusted.ts'
import { queueAddress } from '../protocol/version.ts'
import type { Database } from '../store/indexeddb-database.ts'
import { IndexedDBQueueStore, queuesIn } from '../store/indexeddb-queue.ts'
import { MemoryQueueStore } from '../store/memory-queue.ts'
import type { QueueStore } from '../store/queue-store.ts'

/** Timers stand still while a machine sleeps, and clocks do not: whoever waits for a time looks at the clock as often as this. */
const LOOK_MS = 60_000

interface QueueHomesOptions {
  readonly store: (queue: string) => QueueStore
  /** Of the queues that it has stored. */
  readonly names?: () => Promise<readonly string[]>
  readonly onFailed?: ((address: string, error: unknown) => void) | undefined
}

/**
 * The homes of all local queues in this process, each made when it is first used. Everything that only they need is imported with the
 * first of them, so that a page with topics alone does not load it.
 */
export class QueueHomes {
  readonly #options: QueueHomesOptions
  readonly #homes = new Map<string, { home: Home; alarm: Alarm }>()
  /** Links to all queues. */
  readonly #askers = new Map<number, NamesLink>()
  #lastAsker = 0
  readonly #every: Home = {
    attach: (port, { identity }) => {
      const decode = (text: string): NamesRequest | BadRequest => readRequest(text) as NamesRequest | BadRequest
      const queues = (asked: QueuesParams): Promise<QueuesResult> => this.#queues(asked)
      this.#askers.set(++this.#lastAsker, new NamesLink({ decode, now, queues }, port, identity))
      return this.#lastAsker
    },
    receive: (link, text) => this.#askers.get(link)?.receive(text),
    detach: (link) => void this.#askers.delete(link),
  }

  constructor(options: QueueHomesOptions) {
    this.#options = options
  }

  /** @param queue a name, or {@link EVERY_QUEUE} for a home that says which there are */
  get(queue: string): Home {
    if (queue === EVERY_QUEUE) return this.#every
    const known = this.#homes.get(queue)
    if (known) return known.home
    const { store, onFailed } = this.#options
    const alarm = new Alarm(() => queueHome.due(), false)
    const queueHome = new QueueHome({
      queue,
      store: store(queue),
      decode: (text) => readRequest(text) as QueueRequest | BadRequest,
      now,
      random,
      newEpoch: () => makeEpoch(now(), random),
      wakeAt: (at) => alarm.set(elapsed() + Math.min(at - now(), LOOK_MS)),
      onFailed: (error) => onFailed?.(queueAddress(queue), error),
    })
    const home: Home = {
      attach: ({ send, close }, { identity }) =>
        queueHome.attach({ send, close }, { identity, greeted: false, workers: [] }),
      receive: (link, text) => queueHome.receive(link, text),
      detach: (link, left) => queueHome.detach(link, left),
    }
    this.#homes.set(queue, { home, alarm })
    for (const asker of this.#askers.values()) asker.more()
    return home
  }

  async #queues(asked: QueuesParams): Promise<QueuesResult> {
    const stored = (await this.#options.names?.()) ?? []
    return { ...pageOfQueues([...new Set([...this.#homes.keys(), ...stored])], asked), follows: true }
  }

  close(): void {
    for (const { alarm } of this.#homes.values()) alarm.clear()
    this.#homes.clear()
  }
}

export const queuesInMemory = (): QueueHomes => new QueueHomes({ store: () => new MemoryQueueStore() })

export const queuesOnDisk = (
  database: Database,
  { term, onFailed }: { term: number; onFailed: QueueHomesOptions['onFailed'] },
): QueueHomes =>
  new QueueHomes({
    store: (queue) => new IndexedDBQueueStore(database, queue, term),
    names: () => queuesIn(database),
    onFailed,
  })
