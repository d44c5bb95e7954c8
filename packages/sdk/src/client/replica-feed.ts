import type { Link, OpenLink } from '../link/link.ts'
import { complain } from '../platform.ts'
import type { Range } from '../protocol/answers.ts'
import type { Database } from '../store/indexeddb-database.ts'
import { IndexedDBReplicas } from '../store/indexeddb-replica.ts'
import type { Received } from './message.ts'
import type { ReplicaNews } from './replica.ts'
import type { Feed, FeedEvents } from './view.ts'

export interface ReplicaFeedOptions {
  readonly topic: string
  readonly last: number
  readonly database: Database
  /** Opens a link to the tab that keeps the copy, if there is any. */
  readonly open: (events: Parameters<OpenLink>[2]) => Link | undefined
  readonly events: FeedEvents
}

/**
 * Shows the copy of a topic that the leading tab keeps: what is on the disk at once, also without a network; then what the leader says
 * was added. Where that does not follow, the copy is read again: the disk is the truth.
 */
export class ReplicaFeed implements Feed {
  readonly #options: ReplicaFeedOptions
  #epoch = ''
  #next = -1
  #link: Link | undefined
  #stopped = false
  #work: Promise<void>

  constructor(options: ReplicaFeedOptions) {
    this.#options = options
    this.#work = this.#read().catch(complain)
    this.#open()
  }

  /** Lost as often as the leader changes; who is lost asks again. */
  #open(): void {
    if (this.#stopped) return
    const link = this.#options.open({
      opened() {},
      heard: (text) => {
        this.#work = this.#work
          .then(() => this.#hear(JSON.parse(text) as ReplicaNews))
          .catch(complain)
          .then(() => link?.send('taken'))
      },
      lost: () => {
        if (this.#link === link) this.#open()
      },
    })
    this.#link = link
    if (!link) this.#options.events.ended()
  }

  async #hear({ epoch, next, added, gone }: ReplicaNews): Promise<void> {
    if (this.#stopped) return
    if (gone) {
      this.#next = -1
      this.#options.events.reset(0)
    } else if (epoch === this.#epoch && added?.first === this.#next) {
      this.#next = next
      await this.#options.events.add(added, epoch)
    } else if (epoch !== this.#epoch || next !== this.#next) await this.#read()
  }

  async #read(): Promise<void> {
    const { database, topic, last, events } = this.#options
    const copy = await new IndexedDBReplicas(database).read(topic, last)
    if (!copy || this.#stopped) return
    this.#epoch = copy.epoch
    this.#next = copy.next
    events.reset(copy.next)
    for (const range of copy.ranges) {
      const opened = events.add(receivedOf(range), copy.epoch)
      // Waiting for nothing would let a list be shown that has been emptied and not yet filled again.
      if (opened) await opened
    }
  }

  stop(): void {
    this.#stopped = true
    this.#link?.close()
  }
}

const receivedOf = ({ first, next, runs, body }: Range): Received => ({
  first,
  next,
  runs: JSON.parse(`[${runs}]`),
  messages: JSON.parse(`[${body}]`),
})
