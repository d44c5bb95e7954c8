import type { Port } from '../broker/home.ts'
import { complain } from '../platform.ts'
import { makeCursor } from '../protocol/cursor.ts'
import type { DeliverParams } from '../protocol/frames/deliver.ts'
import type { GapFacts } from '../protocol/frames/subscribe.ts'
import type { Database } from '../store/indexeddb-database.ts'
import { IndexedDBReplicas } from '../store/indexeddb-replica.ts'
import type { Channel } from './channel.ts'
import type { MessError } from './errors.ts'
import type { TopicConnection } from './mess.ts'
import { rangeOf } from './relay.ts'
import type { SessionEffect, Subscriber } from './session-events.ts'

/** What a tab is told: where the copy ends now, and what was added, unless it has not taken the last news yet. */
export interface ReplicaNews {
  readonly epoch: string
  readonly next: number
  readonly added?: Pick<DeliverParams, 'first' | 'next' | 'runs' | 'messages'>
  /** The right to read is gone, and the copy with it. */
  readonly gone?: true
}

interface Watching {
  readonly port: Pick<Port, 'send' | 'close'>
  /** It has not taken the last news. */
  busy: boolean
  behind: boolean
}

/**
 * Keeps the copy of one topic, in the leading tab: one subscription for all tabs that show the topic. A tab is sent what was added
 * once it has taken the last news; one that is slower, or frozen, reads the copy itself when it comes to it.
 */
export class ReplicaHome implements Subscriber {
  readonly #topic: string
  readonly #channel: Channel
  readonly #store: IndexedDBReplicas
  readonly #links = new Map<number, Watching>()
  #lastLink = 0
  #maxMessages = 0
  #running = false
  /** How far the copy goes, as far as it is known. */
  #at: { epoch: string; next: number } | undefined
  /** One step after the other. */
  #work: Promise<void> = Promise.resolve()

  constructor(topic: string, channel: Channel, database: Database) {
    this.#topic = topic
    this.#channel = channel
    this.#store = new IndexedDBReplicas(database)
  }

  keep(maxMessages: number): this {
    this.#maxMessages = Math.max(this.#maxMessages, maxMessages)
    return this
  }

  /** Another tab keeps the copy now. */
  stop(): void {
    this.#links.clear()
    this.#end()
  }

  // ---- as the tabs see it

  attach(port: Pick<Port, 'send' | 'close'>): number {
    const number = ++this.#lastLink
    const watching: Watching = { port, busy: false, behind: false }
    this.#links.set(number, watching)
    if (!this.#running) this.#begin()
    else if (this.#at) this.#tell(watching, this.#at)
    return number
  }

  /** A tab has taken the news. */
  receive(number: number): void {
    const watching = this.#links.get(number)
    if (!watching) return
    watching.busy = false
    if (watching.behind && this.#at) this.#tell(watching, this.#at)
  }

  detach(number: number): void {
    this.#links.delete(number)
    if (this.#links.size === 0) this.#end()
  }

  #end(): void {
    if (!this.#running) return
    this.#running = false
    this.#at = undefined
    this.#channel.post({ name: 'unsubscribe', by: this })
  }

  #tell(watching: Watching, news: ReplicaNews): void {
    watching.behind = watching.busy
    if (watching.busy) return
    watching.busy = true
    watching.port.send(JSON.stringify(news))
  }

  #tellAll(news: ReplicaNews): void {
    for (const watching of this.#links.values()) this.#tell(watching, news)
  }

  // ---- as the server's client

  #begin(): void {
    this.#running = true
    this.#next(async () => {
      const at = await this.#store.position(this.#topic)
      if (!this.#running) return
      this.#at = at
      if (at) this.#tellAll(at)
      this.#channel.post({
        name: 'subscribe',
        by: this,
        from: at ? makeCursor(at.epoch, at.next) : { last: this.#maxMessages },
      })
    })
  }

  started({ epoch, next }: Extract<SessionEffect, { name: 'started' }>): void {
    this.#next(async () => {
      if (this.#at?.epoch !== epoch || this.#at.next !== next) await this.#reset(epoch, next)
    })
  }

  batch(batch: DeliverParams, epoch: string): void {
    this.#next(async () => {
      const range = rangeOf(batch)
      const append = () => this.#store.append(this.#topic, epoch, range, this.#maxMessages)
      try {
        if (!(await append())) {
          await this.#reset(epoch, range.first)
          await append()
        }
      } finally {
        this.#at = { epoch, next: batch.next }
        const { first, next, runs, messages } = batch
        this.#tellAll({ epoch, next, added: { first, next, runs, messages } })
        this.#channel.post({
          name: 'handled',
          by: this,
          cursor: makeCursor(epoch, batch.next),
          through: batch.through,
        })
      }
    })
  }

  gap({ to }: GapFacts, epoch: string): void {
    this.#next(() => this.#reset(epoch, to))
  }

  failed({ retryable }: MessError): void {
    this.#running = false
    if (!retryable) this.#drop()
  }

  /** Who may do nothing is not let in, and so hears of no subscription. One that is let in again begins a new copy there. */
  connected({ error }: TopicConnection): void {
    if (error?.code === 'forbidden') this.#drop()
  }

  /** The right to read is gone. */
  #drop(): void {
    this.#next(async () => {
      await this.#store.drop(this.#topic)
      this.#at = undefined
      this.#tellAll({ epoch: '', next: 0, gone: true })
    })
  }

  async #reset(epoch: string, next: number): Promise<void> {
    await this.#store.reset(this.#topic, epoch, next)
    this.#at = { epoch, next }
    this.#tellAll(this.#at)
  }

  #next(step: () => Promise<void>): void {
    // A copy that cannot be written is one that is fetched again.
    this.#work = this.#work.then(() => (this.#running || this.#links.size > 0 ? step() : undefined)).catch(complain)
  }
}
