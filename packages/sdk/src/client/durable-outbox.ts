import type { TabBus } from '../link/tabs.ts'
import { pause, soon } from '../platform.ts'
import { CLIENT_LIMITS } from '../protocol/client-limits.ts'
import type { IndexedDBOutbox } from '../store/indexeddb-outbox.ts'
import type { AckRange, Refusal, Row } from '../store/indexeddb-rows.ts'
import { StoreConflict } from '../store/store.ts'
import { entryOf, failureOf } from './durable-errors.ts'
import { type DurableHost, DurableTopic } from './durable-topic.ts'
import { MessError } from './errors.ts'
import type { PartsEvents } from './mess.ts'
import { MemoryOutbox, type OutboxBackend, type OutboxEntry, type OwnWatcher, type TopicOutbox } from './outbox.ts'
import { OwnMessages } from './own-messages.ts'
import { Pump } from './pump.ts'
import type { PendingReceipt, Receipt } from './receipt.ts'
import type { Watching } from './watching.ts'

export interface DurableOutboxOptions {
  readonly events: PartsEvents
  readonly bus: TabBus
  /** Whether the tab of this id still lives. */
  readonly isAlive: (tab: string) => Promise<boolean>
  /** Something waits for the tab that drains the outbox. */
  readonly waits: () => void
  /** Another tab has drained the outbox since this one began to, or meant to. */
  readonly overtaken: () => void
  /** From now on there is something to lose. */
  readonly keep: () => void
}

/** How long to wait where the outcome of a message could not be written, before it is tried again. */
const AGAIN_MS = 1_000

/** Rows of so few characters are told to the other tabs; others they read. */
const TOLD_CHARS = 16_384

const small = (rows: readonly Row[]): boolean => rows.reduce((sum, { body }) => sum + body.length, 0) <= TOLD_CHARS

/**
 * The outbox that all tabs of a user share. A tab writes its own messages to the database and then tells the others; the one that
 * holds the lock sends what is there and tells what became of it. What was not heard is looked up in the database.
 */
export class DurableOutbox implements OutboxBackend, DurableHost {
  readonly #events: PartsEvents
  readonly #bus: TabBus
  readonly #isAlive: DurableOutboxOptions['isAlive']
  readonly #waits: DurableOutboxOptions['waits']
  readonly #overtaken: DurableOutboxOptions['overtaken']
  readonly #own: OwnMessages
  readonly #topics = new Map<string, DurableTopic>()
  readonly #moved = new Set<DurableTopic>()
  readonly #settler = new Pump(() => this.#settle())
  readonly #known = Promise.withResolvers<void>()
  /** What the tab that drains the outbox holds: counted here, or told by it. */
  readonly #held = { unsent: 0, bytes: 0 }
  #store: IndexedDBOutbox | undefined
  #memory: MemoryOutbox | undefined
  #watching: Watching | undefined
  #originCount = 0
  #refusedCount = 0
  #leading = false
  /** Highest term that a tab has said to lead with. One that was stopped may still say a lower one. */
  #newest = 0
  /** Counts how often this tab has let the lock go. */
  #life = 0
  /** This tab has missed something and may not have found it yet. */
  #doubts = false
  #telling = false
  #asked = false
  #closed = false

  constructor({ events, bus, isAlive, waits, overtaken, keep }: DurableOutboxOptions) {
    this.#events = events
    this.#bus = bus
    this.#isAlive = isAlive
    this.#waits = waits
    this.#overtaken = overtaken
    this.#own = new OwnMessages({
      stored: (topics, rows) => {
        if (!this.#asked) keep()
        this.#asked = true
        // Also a leader's: whoever shows the topic shows what waits.
        // By a try whose answer was lost: others may have sent it by now.
        if (rows.length === 0) void this.recover()
        bus.post('added', { topics, rows: small(rows) ? rows : [] })
        if (!this.#leading) return this.#waits()
        for (const name of topics) this.#topic(name).wrote(rows.filter(({ topic }) => topic === name))
      },
      refused: events.refused,
      report: (error) => this.report(error),
    })
    bus.on('added', ({ topics, rows }) => {
      this.#watching?.look(topics)
      for (const name of topics) if (this.#leading) this.#topic(name).wrote(rows.filter(({ topic }) => topic === name))
    })
    bus.on('acked', ({ acks }) => this.#acked(acks))
    bus.on('refused', ({ refusals }) => this.#refused(refusals))
    bus.on('setAside', () => {
      void this.#count()
      this.#watching?.lookAside()
    })
    bus.on('hello', () => {
      this.#tell()
      this.look()
    })
    bus.on('holder', ({ term }) => {
      this.#newest = Math.max(this.#newest, term)
    })
    bus.on('counts', ({ unsent, bytes, term }) => {
      // The last words of whoever led before may come late.
      if (this.#leading || term < this.#newest) return
      this.#newest = term
      Object.assign(this.#held, { unsent, bytes })
      events.counted()
      if (this.#doubts) void this.recall()
    })
  }

  // ---- where it is kept

  async open(store: IndexedDBOutbox): Promise<void> {
    await store.open()
    this.#store = store
    this.#own.open(store)
    this.#known.resolve()
    void this.#count()
  }

  /** There is no database, or none any more: what is not stored is sent from memory, by this tab alone. */
  giveUp(): void {
    this.resign()
    this.#store = undefined
    const memory = new MemoryOutbox(this.#events)
    this.#memory = memory
    // Who watches goes on watching there.
    memory.watching = this.#watching
    this.#own.giveUp(({ topic, line = '', key, receipt }) => this.memory(this.#topic(topic))?.add(line, key, receipt))
    this.#known.resolve()
  }

  /** This tab holds the lock: all that waits is its to send. */
  async lead(term: number): Promise<void> {
    this.#leading = true
    this.#newest = term
    this.store.term = term
    Object.assign(this.#held, { unsent: 0, bytes: 0 })
    const life = this.#life
    const { counters, rows } = await this.store.read()
    // What was sent and refused since then is not to be sent again.
    if (life !== this.#life) return
    const waiting = Map.groupBy(rows, ({ topic }) => topic)
    for (const counter of counters) {
      const ofTopic = waiting.get(counter.topic)
      if (ofTopic) this.#topic(counter.topic).take(counter, ofTopic)
    }
    this.#tell()
    await this.recall()
  }

  /** Take what nobody has told this tab of, because who stored it could not. */
  look(): void {
    if (!this.#leading) return
    this.store.counters().then(
      (counters) => {
        for (const counter of counters) if (this.#leading) this.#topic(counter.topic).lookAt(counter)
      },
      (error) => this.report(error),
    )
  }

  resign(): void {
    for (const topic of this.#topics.values()) topic.release()
    this.#leading = false
    this.#life++
  }

  /** This tab may have missed what the others said. */
  recover(): Promise<void> {
    this.#doubts = true
    return this.recall()
  }

  /** Look up what became of this tab's messages. */
  async recall(): Promise<void> {
    const waits = await this.#own.recall().catch((error) => this.report(error))
    this.#doubts &&= waits === true
  }

  // ---- as the client sees it

  topic(name: string, changed: () => void): TopicOutbox {
    const topic = this.#topic(name)
    topic.changed = changed
    return topic
  }

  #topic(name: string): DurableTopic {
    const topic = this.#topics.get(name) ?? new DurableTopic(this, name, this.#newOrigin())
    this.#topics.set(name, topic)
    return topic
  }

  #newOrigin(): string {
    return `${this.#bus.id}-${++this.#originCount}`
  }

  /** Who leads from now on has a higher one, also where somebody has emptied the database. */
  get newestTerm(): number {
    return this.#newest
  }

  /** Whether this tab has published what another one has to send. */
  get waits(): boolean {
    return !this.#leading && this.#own.size > 0
  }

  watch(name: string, watcher: OwnWatcher, Kind: typeof Watching): () => void {
    const inMemory = this.#memory?.watch(name, watcher, Kind)
    if (inMemory) return inMemory
    this.#watching ??= new Kind(() => this.#store)
    const watching = this.#watching
    const stop = watching.watch(name, watcher)
    this.#own.each(name, (id, line, key) => watcher.added(id, line, key))
    void this.#known.promise.then(() => watching.look([name]))
    return stop
  }

  get unsent(): number {
    return Math.max(this.#held.unsent, this.#own.size) + (this.#memory?.unsent ?? 0)
  }

  get refused(): number {
    return this.#refusedCount + (this.#memory?.refused ?? 0)
  }

  async list(): Promise<OutboxEntry[]> {
    await this.#known.promise
    await this.#own.write()
    const inMemory = (await this.#memory?.list()) ?? []
    if (!this.#store) return inMemory
    const [{ counters, rows }, refused] = await Promise.all([this.#store.read(), this.#store.refused()])
    const entries = refused.map(entryOf)
    for (const { topic, first, count, origin, number } of rows) {
      const { settled } = counters.find((counter) => counter.topic === topic) ?? { settled: 0 }
      for (let i = Math.max(0, settled + 1 - first); i < count; i++) {
        entries.push({ id: `${origin}-${number + i}`, topic, state: 'waiting', error: undefined })
      }
    }
    return [...entries, ...inMemory]
  }

  retry(id: string): Receipt {
    if (this.#memory?.has(id)) return this.#memory.retry(id)
    const receipt = this.#own.retry(id, this.#newOrigin(), this.#known.promise)
    receipt.stored.then(
      () => this.#recount(),
      () => {},
    )
    return receipt as unknown as Receipt
  }

  async discard(id: string): Promise<boolean> {
    await this.#known.promise
    if (this.#memory?.has(id)) return this.#memory.discard(id)
    const found = await this.store.discard(id)
    await this.#recount()
    return found
  }

  close(): void {
    this.#closed = true
    this.#own.close()
    this.#memory?.close()
  }

  /** Everything that was published before is stored, and what became of it, too. */
  async flushed(): Promise<void> {
    await this.#own.write()
    await this.#settler.run()
  }

  // ---- as its topics see it

  get leading(): boolean {
    return this.#leading
  }

  /** @throws {MessError} `storage_lost` */
  get store(): IndexedDBOutbox {
    if (!this.#store) throw failureOf(undefined)
    return this.#store
  }

  /** @throws {MessError} `outbox_full` */
  add(topic: DurableTopic, line: string, key: string | undefined, receipt: PendingReceipt): void {
    // What was to be stored when the database was lost goes first.
    const memory = this.#own.chars > 0 ? undefined : this.memory(topic)
    if (memory) return void memory.add(line, key, receipt)
    const { name } = topic
    const count = this.unsent + this.refused
    const chars = this.#held.bytes + this.#own.chars + line.length
    if (count >= CLIENT_LIMITS.outboxMessages || chars > CLIENT_LIMITS.outboxBytes) {
      throw new MessError('outbox_full', `The outbox holds ${count} messages`, { scope: 'mess' })
    }
    this.#events.counted()
    this.#own.add(name, line, key, receipt)
    this.#watching?.tell(name)?.added(receipt.id, line, key)
  }

  owns(publisher: string): boolean {
    return this.#store?.owns(publisher) === true
  }

  memory(topic: DurableTopic): TopicOutbox | undefined {
    return this.#memory?.topic(topic.name, () => topic.changed())
  }

  count(messages: number, chars: number): void {
    this.#held.unsent += messages
    this.#held.bytes += chars
    this.#tell()
  }

  wake(topic: DurableTopic): void {
    if (this.#closed) return
    this.#events.connect(topic.name)
    topic.changed()
  }

  report(error: unknown): void {
    if (this.#closed) return
    this.#events.report(failureOf(error))
    // It may have changed where messages are kept, and how many wait.
    this.#tell()
  }

  #acked(acks: readonly AckRange[]): void {
    this.#own.acked(acks)
    this.#watching?.acked(acks)
  }

  /** None: they had been recorded by a try whose answer was lost. */
  #refused(refusals: readonly Refusal[]): void {
    if (refusals.length > 0) this.#own.refused(refusals)
    else void this.recall()
    this.#watching?.refused(refusals)
  }

  acked(topic: DurableTopic, acks: readonly AckRange[]): void {
    this.#acked(acks)
    this.#bus.post('acked', { acks })
    this.settle(topic)
  }

  settle(topic: DurableTopic): void {
    this.#moved.add(topic)
    void this.#settler.run()
  }

  async #settle(): Promise<void> {
    const settlements = [...this.#moved].flatMap((topic) => topic.settlement() ?? [])
    this.#moved.clear()
    try {
      if (settlements.length > 0) await this.#store?.settle(settlements)
    } catch (error) {
      // Whoever is the later one sends it again, and it is recognised.
      if (error instanceof StoreConflict) return this.#overtaken()
      // It would be sent again after a reload, and recognised. Until then it would count as waiting.
      for (const { topic, acks } of settlements) this.#moved.add(this.#topic(topic).keep(acks))
      void pause(AGAIN_MS).then(() => {
        if (!this.#closed) void this.#settler.run()
      })
    }
    this.#tell()
  }

  /**
   * Nothing behind a refused message is sent before it is recorded; so this waits for room, and for nothing else. Who has let the
   * lead go meanwhile records nothing: the message is sent again, and may be taken.
   */
  async setAside(record: () => Promise<readonly Refusal[]>): Promise<void> {
    const life = this.#life
    while (this.#store && !this.#closed && life === this.#life) {
      try {
        const refusals = await record()
        this.#bus.post('refused', { refusals })
        this.#refused(refusals)
        void this.#recount()
        return await this.#speakForTheGone(refusals)
      } catch (error) {
        if (life !== this.#life) return
        if (error instanceof StoreConflict) return this.#overtaken()
        this.report(error)
        await pause(AGAIN_MS)
      }
    }
  }

  /** Each refusal is an event in the tab that published; where that is gone, here. */
  async #speakForTheGone(refusals: readonly Refusal[]): Promise<void> {
    const { id } = this.#bus
    for (const [tab, theirs] of Map.groupBy(refusals, (refusal) => refusal.id.slice(0, id.length))) {
      if (tab === id || (await this.#isAlive(tab)) || this.#closed) continue
      for (const refusal of theirs) this.#events.refused(entryOf(refusal))
    }
  }

  // ---- counts

  /** Many things change at once; the others hear of it once. */
  #tell(): void {
    if (this.#telling) return
    this.#telling = true
    soon(() => {
      this.#telling = false
      this.#events.counted()
      if (this.#leading) this.#bus.post('counts', { ...this.#held, term: this.store.term })
    })
  }

  #recount(): Promise<void> {
    this.#bus.post('setAside', undefined)
    this.#watching?.lookAside()
    return this.#count()
  }

  async #count(): Promise<void> {
    this.#refusedCount = (await this.#store?.countRefused().catch(() => undefined)) ?? this.#refusedCount
    this.#events.counted()
  }
}
