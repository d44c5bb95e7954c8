import { QueueHome } from '../broker/queue-home.ts'
import type { Home } from '../link/tab-links.ts'
import { Alarm, elapsed, now, random } from '../platform.ts'
import { makeEpoch } from '../protocol/epoch.ts'
import type { QueueRequest } from '../protocol/queue-requests.ts'
import type { BadRequest } from '../protocol/requests.ts'
import { readRequest } from '../protocol/trusted.ts'
import { queueAddress } from '../protocol/version.ts'
import type { Database } from '../store/indexeddb-database.ts'
import { IndexedDBQueueStore } from '../store/indexeddb-queue.ts'
import { MemoryQueueStore } from '../store/memory-queue.ts'
import type { QueueStore } from '../store/queue-store.ts'

interface QueueHomesOptions {
  readonly store: (queue: string) => QueueStore
  readonly onFailed?: ((address: string, error: unknown) => void) | undefined
}

/**
 * The homes of all local queues in this process, each made when it is first used. Everything that only they need is imported with the
 * first of them, so that a page with topics alone does not load it.
 */
export class QueueHomes {
  readonly #options: QueueHomesOptions
  readonly #homes = new Map<string, { home: Home; alarm: Alarm }>()

  constructor(options: QueueHomesOptions) {
    this.#options = options
  }

  get(queue: string): Home {
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
      wakeAt: (at) => alarm.set(elapsed() + at - now()),
      onFailed: (error) => onFailed?.(queueAddress(queue), error),
    })
    const home: Home = {
      attach: ({ send, close }, { identity }) =>
        queueHome.attach({ send, close }, { identity, greeted: false, workers: [] }),
      receive: (link, text) => queueHome.receive(link, text),
      detach: (link, left) => queueHome.detach(link, left),
    }
    this.#homes.set(queue, { home, alarm })
    return home
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
): QueueHomes => new QueueHomes({ store: (queue) => new IndexedDBQueueStore(database, queue, term), onFailed })
