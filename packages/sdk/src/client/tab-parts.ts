import type { Retention } from '../broker/retention.ts'
import { losable } from '../link/losable.ts'
import { TabLinks } from '../link/tab-links.ts'
import { TabBus } from '../link/tabs.ts'
import { webSocketLinks } from '../link/websocket.ts'
import { hash, heldLocks, isFree, onPage, randomName, takeLock } from '../platform.ts'
import { Database } from '../store/indexeddb-database.ts'
import { IndexedDBOutbox } from '../store/indexeddb-outbox.ts'
import { DurableCursors } from './durable-cursors.ts'
import { DurableOutbox } from './durable-outbox.ts'
import { MessError } from './errors.ts'
import type { Homes } from './homes.ts'
import type { Parts, PartsEvents, Status } from './mess.ts'

export interface TabOptions {
  readonly url: string | undefined
  readonly name: string
  readonly user: string | undefined
  readonly retention: Retention
}

/**
 * A client in a browser, as one of the tabs that share an outbox. A lock elects the tab that drains it for all and is the home
 * of local topics; the others reach it over the bus. Nothing here is what safety rests on: the database decides.
 *
 *     starting ─(database open)─▶ follower ─(lock)─▶ leader
 *        │                          ▲   │              │
 *        └─(no database)─▶ alone    └───┴─(put away)───┘      in the back/forward cache a tab holds nothing
 */
export class TabParts implements Parts {
  readonly local: boolean
  readonly outbox: DurableOutbox
  readonly cursors = new DurableCursors()
  /** Links between tabs cost nothing, and come back as soon as there is a holder. */
  declare readonly reconnect?: NonNullable<Parts['reconnect']>
  readonly open: Parts['open']
  readonly #options: TabOptions
  readonly #events: PartsEvents
  readonly #bus = new TabBus(randomName())
  readonly #links: { lose(): void; lead?: TabLinks['lead']; renew?: () => void; forget?: (tab: string) => void }
  readonly #started: Promise<void>
  readonly #unlisten: () => void
  #name = ''
  #role: Status['role'] = 'follower'
  #database: Database | undefined
  #homes: Homes | undefined
  /** Waiting for locks ends with it: when the tab is put away, and at the end. */
  #presence: AbortController | undefined
  #alive: (() => void) | undefined
  #lock: (() => void) | undefined
  readonly #watched = new Set<string>()

  constructor(options: TabOptions, events: PartsEvents) {
    const { url } = options
    this.#options = options
    this.#events = events
    this.local = url === undefined
    if (this.local) this.reconnect = { minMs: 20, maxMs: 1_000 }
    const links = url === undefined ? new TabLinks(this.#bus) : losable(webSocketLinks(url))
    this.#links = links
    this.open = links.open
    this.outbox = new DurableOutbox({
      events,
      bus: this.#bus,
      isAlive: async (tab) => !(await isFree(this.#aliveName(tab))),
    })
    this.#bus.on('hello', (_, tab) => this.#watch(this.#aliveName(tab)))
    this.#unlisten = onPage({
      hide: () => {
        if (this.#role !== 'alone') this.#leave()
      },
      show: () => this.#comeBack(),
    })
    this.#started = this.#start()
  }

  storage(): Status['storage'] {
    return this.#database?.state ?? 'memory'
  }

  role(): Status['role'] {
    return this.#role
  }

  async close(): Promise<void> {
    this.#unlisten()
    await this.#started
    await Promise.all([this.outbox.flushed(), this.cursors.flushed()])
    this.#leave()
    this.#database?.close()
  }

  // ---- starting

  async #start(): Promise<void> {
    try {
      this.#name = await nameOf(this.#options)
      const database = new Database(this.#name, (error) => this.#lost(error))
      await this.outbox.open(new IndexedDBOutbox(database))
      this.#database = database
      this.cursors.open(database, this.#name)
      await this.#join()
    } catch (error) {
      this.#alone(error)
    }
    this.#events.counted()
  }

  /** No database to be had, as in some private windows: everything in memory, for this tab alone. */
  #alone(cause: unknown): void {
    this.#role = 'alone'
    this.#giveUp(cause, 'The browser gives no storage; nothing here outlives the page')
    if (!this.local) return
    void import('./local.ts').then(({ homesInMemory }) => this.#lead(homesInMemory(this.#options.retention)))
  }

  /** The database is gone for this tab; another one may still have it, so the lock is let go. */
  #lost(cause: unknown): void {
    if (!this.#database) return
    this.#resign()
    this.#giveUp(cause, 'The browser took the storage away; what is published from now on does not outlive the page')
  }

  #giveUp(cause: unknown, message: string): void {
    this.outbox.giveUp()
    this.cursors.giveUp()
    this.#events.report(new MessError('storage_lost', message, { scope: 'mess', cause }))
    this.#events.counted()
  }

  // ---- among the tabs

  /** A tab that is there holds a lock of its own, so that the others learn of its end however it comes. */
  async #join(): Promise<void> {
    const presence = new AbortController()
    this.#presence = presence
    await this.#take(this.#aliveName(this.#bus.id), presence, (release) => {
      this.#alive = release
      this.#bus.open(this.#name)
      this.#bus.post('hello', undefined)
      this.#links.renew?.()
      void this.#take(this.#name, presence, (lock) => {
        this.#lock = lock
        void this.#elected(presence.signal)
      })
    })
  }

  /** @param taken called with what releases the lock, unless the tab does not want it any more */
  async #take(name: string, { signal }: AbortController, taken: (release: () => void) => void): Promise<void> {
    const release = await takeLock(name, signal).catch(() => undefined)
    if (signal.aborted) release?.()
    else if (release) taken(release)
  }

  async #elected(signal: AbortSignal): Promise<void> {
    try {
      if (this.local) {
        const database = this.#database as Database
        const { homesOnDisk } = await import('./local.ts')
        const { retention } = this.#options
        const onFailed = (topic: string, cause: unknown): void =>
          this.#events.report(
            new MessError('commit_failed', `The store of ${topic} failed; it is loaded anew`, {
              retryable: true,
              cause,
            }),
          )
        const report = (error: unknown): void => this.outbox.report(error)
        const homes = await homesOnDisk(database, { retention, onFailed, report, signal })
        if (signal.aborted) return
        this.#lead(homes)
      }
      this.#role = 'leader'
      this.#bus.post('holder', undefined)
      for (const alive of await heldLocks(this.#aliveName(''))) this.#watch(alive)
      if (!signal.aborted) await this.outbox.lead()
    } catch (error) {
      this.outbox.report(error)
    }
    this.#events.counted()
  }

  #lead(homes: Homes): void {
    this.#homes = homes
    this.#links.lead?.((topic) => homes.get(topic))
  }

  /** A tab that ends may leave links to our homes, and messages that it had stored and not told of any more. */
  #watch(alive: string): void {
    const presence = this.#presence
    if (!presence || this.#role !== 'leader' || this.#watched.has(alive) || alive === this.#aliveName(this.#bus.id))
      return
    this.#watched.add(alive)
    void this.#take(alive, presence, (release) => {
      release()
      this.#watched.delete(alive)
      this.#links.forget?.(alive.slice(this.#aliveName('').length))
      this.outbox.look()
    })
  }

  #resign(): void {
    this.#presence?.abort()
    this.#presence = undefined
    this.#watched.clear()
    this.outbox.resign()
    this.#homes?.close()
    this.#homes = undefined
    this.#links.lose()
    this.#lock?.()
    this.#lock = undefined
    this.#role = 'follower'
  }

  /** The page is put away: it may be frozen for hours, and must not stand in anybody's way. */
  #leave(): void {
    this.#resign()
    this.#bus.close()
    this.#alive?.()
    this.#alive = undefined
  }

  #comeBack(): void {
    if (this.#presence || !this.#database) return
    if (this.#database.state !== 'lost') return void this.#join().then(() => this.outbox.recover())
    // It takes part in nothing any more, and still needs the homes of the others.
    this.#bus.open(this.#name)
    this.#links.renew?.()
  }

  #aliveName(tab: string): string {
    return `${this.#name}#${tab}`
  }
}

/** Server, application and user: whoever differs in one of them shares nothing. */
async function nameOf({ url, name, user }: TabOptions): Promise<string> {
  const server = url === undefined ? 'local' : new URL(url).host + new URL(url).pathname.replace(/\/$/, '')
  return ['messkit', name, server, user === undefined ? 'nobody' : await hash(user)].map(encodeURIComponent).join('/')
}
