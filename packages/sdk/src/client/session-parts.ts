import type { Retention } from '../broker/retention.ts'
import { inProcessLinks } from '../link/in-process.ts'
import type { OpenLink } from '../link/link.ts'
import { TabLinks } from '../link/tab-links.ts'
import { TabBus } from '../link/tabs.ts'
import { randomName } from '../platform.ts'
import { memoryCursors } from './cursors.ts'
import { failureOf } from './durable-errors.ts'
import { Election } from './election.ts'
import type { Homes } from './homes.ts'
import type { Parts, PartsEvents, Status } from './mess.ts'
import { MemoryOutbox } from './outbox.ts'
import { nameOf, type TabOwner } from './tab-name.ts'

/**
 * Local topics that the tabs of an origin share without keeping anything: their home is the leading tab's memory, and ends with it. The
 * next leader begins with empty topics, which its subscribers are told as a gap; what was not acked is published there.
 */
export class SessionParts implements Parts {
  readonly local = true
  readonly outbox: MemoryOutbox
  readonly cursors = memoryCursors()
  readonly reconnect = { minMs: 20, maxMs: 1_000 }
  readonly open: OpenLink
  readonly #bus = new TabBus(randomName())
  readonly #links = new TabLinks(this.#bus)
  readonly #election: Election
  readonly #events: PartsEvents
  #name = ''
  #term = 0
  #closed = false
  #homes: Homes | undefined

  constructor({ retention, ...owner }: Omit<TabOwner, 'url'> & { readonly retention: Retention }, events: PartsEvents) {
    this.#events = events
    this.outbox = new MemoryOutbox(events)
    const bus = this.#bus
    this.#election = new Election(
      {
        bus,
        // Nothing is kept that a former leader could still write to.
        nextTerm: async () => ++this.#term,
        prepare: async (_, signal) => {
          const { homesInMemory } = await import('./local.ts')
          if (signal.aborted) return
          const homes = homesInMemory(retention)
          this.#homes = homes
          const homeOf = async (topic: string) => homes.get(topic)
          this.#renew(() => this.#links.renew({ open: inProcessLinks(homeOf), homeOf }))
        },
        elected: () => events.counted(),
        deposed: () => {
          this.#homes?.close()
          this.#homes = undefined
        },
        changed: () => this.#renew(() => this.#links.renew()),
        gone: (tab) => this.#links.forget(tab),
        waiting: () => this.#links.wanted,
        failed: (error) => events.report(failureOf(error)),
      },
      {
        away: () => {
          // First: links are closed over the bus, which is closed then.
          this.#links.renew()
          this.#election.leave()
        },
        back: () => {
          if (this.#election.away && this.#name !== '') void this.#election.join(this.#name)
        },
      },
    )
    bus.on('holder', ({ term }) => {
      this.#term = Math.max(this.#term, term)
    })
    bus.on('forget', () => events.forgotten())
    this.open = (topic, token, linkEvents) => {
      this.#election.wait()
      return this.#links.open(topic, token, linkEvents)
    }
    void this.#start(owner)
  }

  async #start(owner: Omit<TabOwner, 'url'>): Promise<void> {
    this.#name = `${await nameOf({ ...owner, url: undefined })}/session`
    if (!this.#closed) await this.#election.join(this.#name)
  }

  /** The log that knew our publishers is gone, and with it what it had acked. */
  #renew(links: () => void): void {
    this.outbox.renew()
    links()
    this.#events.retry()
    this.#events.counted()
  }

  storage(): Status['storage'] {
    return 'memory'
  }

  role(): Status['role'] {
    return this.#election.leading ? 'leader' : 'follower'
  }

  close(forget: boolean): void {
    this.#closed = true
    if (forget) this.#bus.post('forget', undefined)
    this.#election.close()
  }
}
