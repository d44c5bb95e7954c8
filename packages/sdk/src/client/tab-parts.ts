import type { Retention } from '../broker/retention.ts'
import { inProcessLinks } from '../link/in-process.ts'
import type { Link, LinkEvents, OpenLink } from '../link/link.ts'
import { type Home, TabLinks } from '../link/tab-links.ts'
import { TabBus } from '../link/tabs.ts'
import { webSocketLinks } from '../link/websocket.ts'
import { deleteDatabase, keepStorage, pause, randomName } from '../platform.ts'
import { queueAt } from '../protocol/version.ts'
import { ask, Database } from '../store/indexeddb-database.ts'
import { IndexedDBOutbox } from '../store/indexeddb-outbox.ts'
import { MemoryCursors } from './cursors.ts'
import type { DurableCursors } from './durable-cursors.ts'
import { failureOf } from './durable-errors.ts'
import { DurableOutbox } from './durable-outbox.ts'
import { Election } from './election.ts'
import type { Homes } from './homes.ts'
import type { Parts, PartsEvents, Status, TopicConnection } from './mess.ts'
import type { Relay } from './relay.ts'
import type { ReplicaHome } from './replica.ts'
import { nameOf } from './tab-name.ts'
import type { Feed, FeedEvents } from './view.ts'

/** How long to wait for room on the disk before trying again. */
const AGAIN_MS = 1_000

/** Begins what a link to the copy of a topic is asked for by: how much to keep, and the topic. No topic begins so. */
const COPY = '#'

export interface TabOptions {
  readonly url: string | undefined
  readonly name: string
  readonly user: string | undefined
  readonly retention: Retention
}

/**
 * A client in a browser, as one of the tabs that share an outbox and a connection per topic. One of them leads: it sends what all
 * have published, has the connections to the server and hands on what they bring, or is the home of local topics. The others
 * reach it over the bus. Nothing here is what safety rests on: the database decides.
 */
export class TabParts implements Parts {
  readonly local: boolean
  readonly outbox: DurableOutbox
  /** Links between tabs cost nothing, and come back as soon as there is a leader. */
  declare readonly reconnect?: NonNullable<Parts['reconnect']>
  readonly #options: TabOptions
  readonly #events: PartsEvents
  readonly #bus = new TabBus(randomName())
  readonly #links = new TabLinks(this.#bus)
  readonly #election: Election
  readonly #server: OpenLink | undefined
  /** How the leader is connected; what it did not tell of is not known. */
  readonly #uplinks = new Map<string, TopicConnection>()
  /** How this tab's own links stand. */
  readonly #reaches = new Map<string, TopicConnection>()
  readonly #relays = new Map<string, Relay>()
  readonly #replicas = new Map<string, ReplicaHome>()
  readonly #started: Promise<void>
  #name = ''
  #alone = false
  #database: Database | undefined
  #homes: Homes | undefined
  #cursors: DurableCursors | undefined

  constructor(options: TabOptions, events: PartsEvents) {
    const { url } = options
    this.#options = options
    this.#events = events
    this.local = url === undefined
    this.#server = url === undefined ? undefined : webSocketLinks(url)
    if (this.local) this.reconnect = { minMs: 20, maxMs: 1_000 }
    const bus = this.#bus
    this.#election = new Election(
      {
        bus,
        nextTerm: (signal) => this.#nextTerm(this.#database as Database, signal),
        prepare: (term, signal) => this.#prepare(term, signal),
        elected: (term, signal) => void this.#elected(term, signal),
        deposed: () => this.#deposed(),
        changed: () => this.#renew(),
        gone: (tab) => {
          this.#links.forget(tab)
          this.outbox.look()
        },
        waiting: () => !this.#alone && (this.#links.wanted || this.outbox.waits),
        failed: (error) => this.outbox.report(error),
      },
      {
        away: () => {
          // First: links are closed over the bus, which is closed then.
          this.#renew()
          if (!this.#alone) this.#election.leave()
          this.#cursors?.leave()
        },
        back: () => {
          this.#comeBack()
          this.#cursors?.comeBack()
        },
      },
    )
    this.outbox = new DurableOutbox({
      events,
      bus,
      isAlive: (tab) => this.#election.lives(tab),
      waits: () => this.#election.wait(),
      overtaken: () => this.#election.overtaken(),
      keep: () => void keepStorage(this.#name),
    })
    bus.on('forget', () => {
      // What is written from now on would outlive the user.
      this.#database?.close()
      events.forgotten()
    })
    // Whoever is new may have no link of its own, and ask for none.
    bus.on('hello', (_, tab) => {
      for (const [topic, connection] of this.#reaches) this.#tellUplink(topic, connection, tab)
    })
    // It may have stored something.
    bus.on('other', () => this.outbox.look())
    bus.on('uplink', ({ topic, connection }) => {
      this.#uplinks.set(topic, connection as TopicConnection)
      events.counted()
    })
    this.#started = this.#start()
  }

  readonly open: OpenLink = (topic, token, events) => {
    if (this.#server && (this.#alone || queueAt(topic))) return this.#server(topic, token, events)
    this.#election.wait()
    return this.#links.open(topic, token, events)
  }

  /** A queue's links are each tab's own: by its link its home knows whether a worker lives. */
  relayed(topic: string): boolean {
    return !(this.#alone || this.#links.leads || queueAt(topic))
  }

  /** How a topic is connected beyond this tab's own link. */
  uplink(topic: string): TopicConnection | undefined {
    return this.relayed(topic) && !this.local ? this.#uplinks.get(topic) : undefined
  }

  /** A topic's own link has changed. */
  connected(topic: string, connection: TopicConnection): void {
    this.#reaches.set(topic, connection)
    this.#tellUplink(topic, connection)
    this.#replicas.get(topic)?.connected(connection)
  }

  #tellUplink(topic: string, connection: TopicConnection, to?: string): void {
    if (!this.local && this.#election.leading) this.#bus.post('uplink', { topic, connection }, to)
  }

  storage(): Status['storage'] {
    return this.#database?.state ?? 'memory'
  }

  role(): Status['role'] {
    return this.#alone ? 'alone' : this.#election.leading ? 'leader' : 'follower'
  }

  async close(forget: boolean): Promise<void> {
    await this.#started
    if (!forget) await Promise.all([this.outbox.flushed(), this.#cursors?.flushed()])
    // The others let go of the database when they hear of it; and one that cannot, for it is frozen, finds nothing in it.
    else this.#bus.post('forget', undefined)
    const database = this.#database
    const failure = forget && (await database?.clear().catch(failureOf))
    this.#election.close()
    database?.close()
    if (forget)
      await deleteDatabase(this.#name).catch((error) => {
        // Where it never opened here, nobody has emptied it.
        if (failure || !database) throw failureOf(error)
      })
  }

  // ---- starting

  async #start(): Promise<void> {
    try {
      this.#name = await nameOf(this.#options)
      const database = new Database(
        this.#name,
        (error) => this.#lost(error),
        () => this.#events.counted(),
      )
      await this.outbox.open(new IndexedDBOutbox(database))
      this.#database = database
      await this.#election.join(this.#name)
    } catch (error) {
      this.#goAlone(error)
    }
    this.#events.counted()
  }

  /** No database to be had, as in some private windows: everything in memory, for this tab alone. */
  #goAlone(cause: unknown): void {
    this.#alone = true
    this.#giveUp(cause)
    if (!this.local) return
    void import('./local.ts').then(({ homesInMemory }) => {
      this.#lead(homesInMemory(this.#options.retention))
      this.#events.retry()
    })
  }

  /** The database is gone for this tab; another one may still have it, and lead. */
  #lost(cause: unknown): void {
    if (!this.#database) return
    this.#election.retire()
    this.#alone = !this.local
    this.#giveUp(cause)
  }

  #giveUp(cause: unknown): void {
    this.outbox.giveUp()
    this.#cursors?.giveUp()
    this.#events.report(failureOf(cause))
    this.#renew()
    this.#events.counted()
  }

  // ---- among the tabs

  /**
   * Higher than that of every tab that led before. What has local topics waits until there is room to write it: no other tab has
   * more. Who only sends goes on without, since sending makes room, and the server knows repeats.
   */
  async #nextTerm(database: Database, signal: AbortSignal): Promise<number> {
    for (;;) {
      try {
        return await nextTerm(database, this.outbox.newestTerm)
      } catch (error) {
        if (signal.aborted || database.state === 'lost') throw error
        this.outbox.report(error)
        if (!this.local) return (await lastTerm(database)) + 1
        await pause(AGAIN_MS)
      }
    }
  }

  async #prepare(term: number, signal: AbortSignal): Promise<void> {
    if (this.local) {
      const { homesOnDisk } = await import('./local.ts')
      if (signal.aborted) return
      const { report } = this.#events
      this.#lead(homesOnDisk(this.#database as Database, { retention: this.#options.retention, term, report }))
    } else {
      const server = this.#server as OpenLink
      const homeOf = (topic: string): Promise<Home> => (topic[0] === COPY ? this.#replica(topic) : this.#relay(topic))
      const inHere = inProcessLinks(homeOf)
      this.#links.renew({
        open: (topic, ...rest) => (topic[0] === COPY ? inHere : server)(topic, ...rest),
        homeOf,
      })
    }
  }

  async #elected(term: number, signal: AbortSignal): Promise<void> {
    this.#events.retry()
    for (;;) {
      try {
        await this.outbox.lead(term)
        break
      } catch (error) {
        if (signal.aborted) return
        this.outbox.report(error)
        await pause(AGAIN_MS)
        if (signal.aborted) return
      }
    }
    this.#events.counted()
  }

  #lead(homes: Homes): void {
    this.#homes = homes
    const homeOf = async (topic: string) => homes.get(topic)
    this.#links.renew({ open: inProcessLinks(homeOf), homeOf })
  }

  /** Loaded by who leads, and only where there are other tabs. */
  async #relay(topic: string): Promise<Relay> {
    const { Relay } = await import('./relay.ts')
    const channel = this.#events.connect(topic)
    const relay = this.#relays.get(topic) ?? new Relay(channel)
    this.#relays.set(topic, relay)
    this.connected(topic, channel.reach)
    return relay
  }

  async #replica(name: string): Promise<ReplicaHome> {
    const { ReplicaHome } = await import('./replica.ts')
    const [maxMessages, topic] = name.slice(1).split(' ') as [string, string]
    const home =
      this.#replicas.get(topic) ?? new ReplicaHome(topic, this.#events.connect(topic), this.#database as Database)
    this.#replicas.set(topic, home)
    this.connected(topic, this.#events.connect(topic).reach)
    return home.keep(Number(maxMessages))
  }

  /** Loaded by who resumes something. */
  async cursors(): Promise<DurableCursors> {
    await this.#started
    const { DurableCursors } = await import('./durable-cursors.ts').catch((error: unknown) => {
      throw failureOf(error)
    })
    this.#cursors ??= new DurableCursors(this.#database, new MemoryCursors(), this.#name)
    return this.#cursors
  }

  async feed(
    topic: string,
    { maxMessages, last }: { maxMessages: number; last: number },
    events: FeedEvents,
  ): Promise<Feed | undefined> {
    await this.#started
    if (this.local) return undefined
    const { ReplicaFeed } = await import('./replica-feed.ts')
    if (this.#alone) return undefined
    const database = this.#database as Database
    const open = (linkEvents: LinkEvents): Link | undefined =>
      this.#alone ? undefined : this.open(`${COPY}${maxMessages} ${topic}`, undefined, linkEvents)
    return new ReplicaFeed({ topic, last, database, open, events })
  }

  #deposed(): void {
    this.outbox.resign()
    this.#homes?.close()
    this.#homes = undefined
    this.#relays.clear()
    for (const replica of this.#replicas.values()) replica.stop()
    this.#replicas.clear()
  }

  /** Whatever went through the last leader goes through the next one. */
  #renew(): void {
    this.#uplinks.clear()
    this.#links.renew()
    this.#events.retry()
    void this.outbox.recall()
  }

  #comeBack(): void {
    if (!this.#election.away || !this.#database) return
    void this.#election.join(this.#name).then(() => {
      // One whose database is lost takes part in nothing, and still needs the homes of the others.
      if (this.#database?.state !== 'lost') void this.outbox.recover()
    })
  }
}

const lastTerm = (database: Database): Promise<number> =>
  database.read(['meta'], async ({ meta }) => (await ask<number | undefined>(meta.get('term'))) ?? 0)

function nextTerm(database: Database, newest: number): Promise<number> {
  return database.write(['meta'], 'strict', async ({ meta }) => {
    const term = Math.max((await ask<number | undefined>(meta.get('term'))) ?? 0, newest) + 1
    meta.put(term, 'term')
    return term
  })
}
