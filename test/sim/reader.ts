import type { Trouble } from '../../packages/sdk/src/client/errors.ts'
import { isHistory } from '../../packages/sdk/src/client/guards.ts'
import { Walk } from '../../packages/sdk/src/client/message.ts'
import type { Asking } from '../../packages/sdk/src/client/session-events.ts'
import { makeCursor } from '../../packages/sdk/src/protocol/cursor.ts'
import type { HistoryParams, HistoryResult } from '../../packages/sdk/src/protocol/frames/history.ts'
import { TOPIC } from './server.ts'
import { digestOf, type Payload, type Subscriptions } from './subscription.ts'
import type { World } from './world.ts'

interface Reading {
  readonly name: string
  readonly reverse: boolean
  /** The newest message of which its client knows that it is stored. */
  readonly acked: { readonly epoch: string; readonly offset: number } | undefined
  readonly done: (pages: readonly HistoryResult[] | undefined) => void
}

/**
 * Reads all that is kept, page by page, from the start or backwards from the end. In the history it stands as one more subscriber, which
 * must meet every message once, and be told of what is missing.
 */
export class HistoryReader implements Asking {
  readonly method = 'history'
  params: HistoryParams
  readonly #client: Subscriptions
  readonly #world: World
  readonly #reading: Reading
  readonly #pages: HistoryResult[] = []

  constructor(client: Subscriptions, reading: Reading) {
    this.#client = client
    this.#world = client.world
    this.#reading = reading
    const limit = this.#world.random.pick([5, 50, 1_000])
    this.params = { topic: TOPIC, limit, ...(reading.reverse && { reverse: true }) }
    this.#ask()
  }

  #ask(): void {
    this.#client.post({ name: 'ask', by: this })
  }

  answered(page: unknown, error: Trouble | undefined): void {
    this.#client.post({ name: 'unask', by: this })
    if (isHistory(page)) this.#take(page)
    else if (error?.retryable)
      this.#client.later((error.retryAfterMs ?? 1_000) * (1 + this.#world.random.next()), () => this.#ask())
    else if (error?.code === 'forbidden' && this.#world.rights) {
      this.#world.count('history forbidden')
      this.#reading.done(undefined)
    }
    // A client that is closed answers whoever still waits.
    else if (error?.code !== 'closed') throw new Error(`${this.#reading.name} cannot read: ${error?.message}`)
  }

  #take(page: HistoryResult): void {
    const { reverse, done } = this.#reading
    const before = this.#pages.at(-1)
    // A log that was made anew meanwhile is another one.
    if (before && before.epoch !== page.epoch) {
      done(undefined)
      return
    }
    if (before && reverse && page.next !== before.first)
      throw new Error(`${this.#reading.name}: a page ends at ${page.next}, and ${before.first} was asked for`)
    this.#pages.push(page)
    if (page.more) {
      this.#world.count('history in pages')
      this.params = { ...this.params, from: makeCursor(page.epoch, reverse ? page.first : page.next) }
      this.#ask()
      return
    }
    const pages = reverse ? this.#pages.toReversed() : this.#pages
    this.#record(pages)
    this.#hasAcked(page)
    done(pages)
  }

  #record(pages: readonly HistoryResult[]): void {
    const { name: sub } = this.#reading
    const [first] = pages as [HistoryResult]
    const { epoch } = first
    this.#world.record({ e: 'start', sub, epoch, next: first.gap?.from ?? first.first, resumed: false })
    for (const page of pages) {
      if (page.gap) {
        this.#world.count('gap in history')
        this.#world.record({ e: 'trimmed', floor: this.#world.server.floor(epoch) })
        this.#world.record({ e: 'gap', sub, epoch, ...page.gap })
      }
      for (const walk = new Walk(page, { epoch, own: () => false }); !walk.done; walk.next()) {
        const { id, offset, key, data } = walk.message((raw) => raw as Payload)
        this.#world.record({ e: 'deliver', sub, epoch, offset, id, digest: digestOf({ key, pad: data.pad }) })
      }
    }
  }

  /** What was acked before it asked is there, or was taken by retention. */
  #hasAcked({ epoch, next }: HistoryResult): void {
    const { name, reverse, acked } = this.#reading
    if (!reverse && acked?.epoch === epoch && next <= acked.offset)
      throw new Error(`${name} ends at ${next}, and ${acked.offset} was acked before it was asked for`)
  }
}
