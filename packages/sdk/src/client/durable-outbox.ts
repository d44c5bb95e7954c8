import type { TabBus } from '../link/tabs.ts'
import { pause, soon } from '../platform.ts'
import { LIMITS } from '../protocol/limits.ts'
import type { AckRange, Addition, IndexedDBOutbox, Refusal, Row, SetAside } from '../store/indexeddb-outbox.ts'
import { StoreFull } from '../store/store.ts'
import { type DurableHost, DurableTopic } from './durable-topic.ts'
import { MessError, RefusedError } from './errors.ts'
import { MemoryOutbox, type OutboxBackend, type OutboxEntry, type OutboxEvents, type TopicOutbox } from './outbox.ts'
import { Pump } from './pump.ts'
import { PendingReceipt, type Receipt, type Stored } from './receipt.ts'

export interface DurableOutboxOptions {
  readonly events: OutboxEvents & {
    /** Make the topic's channel, so that what is in its outbox gets sent. */
    connect(topic: string): void
    report(error: MessError): void
  }
  readonly bus: TabBus
  /** Whether the tab of this id still lives. */
  readonly isAlive: (tab: string) => Promise<boolean>
}

/** A message that this tab published and that is not acked. */
interface Item {
  readonly id: string
  /** Known from the start, but for one that is tried again. */
  topic: string
  readonly origin: string
  readonly number: number
  readonly key: string | undefined
  readonly chars: number
  readonly receipt: PendingReceipt
  /** Its payload, until it is stored. */
  line: string | undefined
}

/** What the next transaction writes. */
interface Batch extends PromiseWithResolvers<Stored> {
  readonly items: Item[]
}

/** How long to wait where setting a message aside failed, before it is tried again. */
const AGAIN_MS = 1_000

/**
 * The outbox that all tabs of a user share. A tab writes its own messages to the database and then tells the others; the one that
 * holds the lock sends what is there and tells what became of it. What was not heard is looked up in the database.
 */
export class DurableOutbox implements OutboxBackend, DurableHost {
  readonly #options: DurableOutboxOptions
  readonly #topics = new Map<string, DurableTopic>()
  readonly #pending = new Map<string, Item>()
  readonly #settling = new Set<DurableTopic>()
  readonly #writer = new Pump(() => this.#write())
  readonly #settler = new Pump(() => this.#settle())
  #store: IndexedDBOutbox | undefined
  #memory: MemoryOutbox | undefined
  #batch: Batch | undefined
  #originCount = 0
  /** What the tab that drains the outbox holds: counted here, or told by it. */
  readonly #held = { unsent: 0, bytes: 0 }
  readonly #known = Promise.withResolvers<void>()
  #pendingChars = 0
  #setAside = 0
  #leading = false
  #recheck = false
  #telling = false
  #closed = false

  constructor(options: DurableOutboxOptions) {
    this.#options = options
    const { bus } = options
    bus.on('added', ({ topics }) => {
      if (this.#leading) for (const topic of topics) this.#topic(topic).fill()
    })
    bus.on('acked', ({ acks }) => this.#resolve(acks))
    bus.on('refused', ({ refusals }) => this.#reject(refusals))
    bus.on('setAside', ({ count }) => this.#setAsideNow(count))
    bus.on('counts', (held) => {
      Object.assign(this.#held, held)
      options.events.counted()
      if (this.#recheck) void this.#reconcile()
    })
    bus.on('holder', () => void this.#reconcile())
    bus.on('hello', () => this.#tellCounts())
  }

  // ---- where it is kept

  async open(store: IndexedDBOutbox): Promise<void> {
    this.#setAside = await store.open()
    this.#store = store
    this.#known.resolve()
    void this.#writer.run()
  }

  /** There is no database, or none any more: what is not stored is sent from memory, by this tab alone. */
  giveUp(): void {
    this.#memory ??= new MemoryOutbox(this.#options.events)
    this.resign()
    this.#store = undefined
    this.#known.resolve()
    void this.#writer.run()
  }

  /** This tab holds the lock: all that waits is its to send. */
  async lead(): Promise<void> {
    this.#leading = true
    Object.assign(this.#held, { unsent: 0, bytes: 0 })
    const { counters, rows } = await this.store.read()
    const byTopic = Map.groupBy(rows, ({ topic }) => topic)
    for (const counter of counters) {
      const waiting = byTopic.get(counter.topic)
      if (waiting) this.#topic(counter.topic).take(counter, waiting)
    }
    this.#tellCounts()
    await this.#reconcile()
  }

  resign(): void {
    if (!this.#leading) return
    for (const topic of this.#topics.values()) topic.release()
    this.#leading = false
  }

  /** This tab may have missed what the others said. */
  recover(): Promise<void> {
    this.#recheck = true
    return this.#reconcile()
  }

  // ---- as the client sees it

  topic(name: string, changed: () => void): TopicOutbox {
    const topic = this.#topic(name)
    topic.changed = changed
    return topic
  }

  #topic(name: string): DurableTopic {
    let topic = this.#topics.get(name)
    if (!topic) this.#topics.set(name, (topic = new DurableTopic(this, name, this.#newOrigin(), () => {})))
    return topic
  }

  #newOrigin(): string {
    return `${this.#options.bus.id}-${++this.#originCount}`
  }

  get unsent(): number {
    return Math.max(this.#held.unsent, this.#pending.size) + (this.#memory?.unsent ?? 0)
  }

  get refused(): number {
    return this.#setAside + (this.#memory?.refused ?? 0)
  }

  async list(): Promise<OutboxEntry[]> {
    await this.#known.promise
    await this.#writer.run()
    const inMemory = (await this.#memory?.list()) ?? []
    if (!this.#store) return inMemory
    const [{ counters, rows }, refused] = await Promise.all([this.#store.read(), this.#store.refused()])
    const settled = new Map(counters.map((counter) => [counter.topic, counter.settled]))
    const waiting = rows.flatMap(({ topic, first, count, origin, number }) =>
      Array.from({ length: count }, (_, i): OutboxEntry | [] =>
        first + i > (settled.get(topic) ?? 0)
          ? { id: `${origin}-${number + i}`, topic, state: 'waiting', error: undefined }
          : [],
      ).flat(),
    )
    return [...waiting, ...refused.map(entryOf), ...inMemory]
  }

  retry(id: string): Receipt {
    if (this.#memory?.has(id)) return this.#memory.retry(id)
    const origin = this.#newOrigin()
    const stored = Promise.withResolvers<Stored>()
    stored.promise.catch(() => {})
    const receipt = new PendingReceipt(origin, 1, stored.promise)
    const item: Item = { id: receipt.id, topic: '', origin, number: 1, key: undefined, chars: 0, receipt, line: '' }
    const retry = async (): Promise<void> => {
      await this.#known.promise
      const again = await this.store.retry(id, origin)
      if (!again) throw new MessError('bad_option', `No refused message has the id ${id}`, { scope: 'mess' })
      this.#countSetAside(again.count)
      item.topic = again.rows[0]?.topic ?? ''
      this.#isStored([item], again.rows)
      stored.resolve({ durability: 'disk' })
    }
    this.#pending.set(item.id, item)
    retry().catch((error: unknown) => {
      const failure = failureOf(error)
      this.#take(item.id)
      receipt.fail(failure)
      stored.reject(failure)
    })
    return receipt as unknown as Receipt
  }

  async discard(id: string): Promise<boolean> {
    await this.#known.promise
    if (this.#memory?.has(id)) return this.#memory.discard(id)
    const { found, count } = await this.store.discard(id)
    this.#countSetAside(count)
    return found
  }

  close(): void {
    this.#closed = true
    for (const { receipt } of this.#pending.values())
      receipt.fail(new MessError('closed', 'The client was closed before the ack came', { scope: 'message' }))
    this.#memory?.close()
  }

  /** Everything that was published before is stored. */
  async flushed(): Promise<void> {
    await Promise.all([this.#writer.run(), this.#settler.run()])
  }

  // ---- as its topics see it

  get leading(): boolean {
    return this.#leading
  }

  get store(): IndexedDBOutbox {
    if (!this.#store) throw new MessError('storage_lost', 'There is no database to keep messages in', { scope: 'mess' })
    return this.#store
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
    this.#tellCounts()
  }

  wake(topic: DurableTopic): void {
    if (this.#closed) return
    this.#options.events.connect(topic.name)
    topic.changed()
  }

  report(error: unknown): void {
    this.#options.events.report(failureOf(error))
  }

  // ---- storing

  /** @throws {MessError} `outbox_full` */
  add(topic: DurableTopic, line: string, key: string | undefined): PendingReceipt {
    const { unsent, refused } = this
    if (
      unsent + refused >= LIMITS.outboxMessages ||
      Math.max(this.#held.bytes, this.#pendingChars) + line.length > LIMITS.outboxBytes
    ) {
      throw new MessError(
        'outbox_full',
        `The outbox holds ${unsent + refused} messages; wait for acks, or retry or discard refused ones`,
        { scope: 'mess' },
      )
    }
    const batch = (this.#batch ??= newBatch())
    const { origin } = topic
    const number = ++topic.number
    const receipt = new PendingReceipt(origin, number, batch.promise)
    const item: Item = { topic: topic.name, id: receipt.id, origin, number, key, chars: line.length, receipt, line }
    batch.items.push(item)
    this.#pending.set(item.id, item)
    this.#pendingChars += item.chars
    if (this.#pending.size === 1) this.#options.events.counted()
    void this.#writer.run()
    return receipt
  }

  async #write(): Promise<void> {
    const batch = this.#batch
    if (!batch) return
    if (!this.#store) return this.#memory && this.#remember(batch)
    this.#batch = undefined
    try {
      const rows = await this.#store.add([...Map.groupBy(batch.items, ({ topic }) => topic).values()].map(additionOf))
      this.#isStored(batch.items, rows)
      batch.resolve({ durability: 'disk' })
    } catch (error) {
      if (this.#memory) return this.#remember(batch)
      const failure = failureOf(error)
      batch.reject(failure)
      for (const { id } of batch.items) this.#take(id)?.receipt.fail(failure)
      this.#options.events.report(failure)
    }
  }

  #isStored(items: readonly Item[], rows: readonly Row[]): void {
    for (const item of items) item.line = undefined
    const topics = [...new Set(items.map(({ topic }) => topic))]
    if (!this.#leading) return this.#options.bus.post('added', { topics })
    for (const name of topics) this.#topic(name).wrote(rows.filter(({ topic }) => topic === name))
  }

  #remember(batch: Batch): void {
    this.#batch = undefined
    for (const { topic, id, line, key, origin, number, receipt } of batch.items) {
      this.#take(id)
      this.#memory?.adopt(topic, { line: line as string, key, origin, number, receipt }, () =>
        this.#topic(topic).changed(),
      )
    }
    batch.resolve({ durability: 'memory' })
  }

  // ---- fates

  acked(acks: readonly AckRange[]): void {
    this.#resolve(acks)
    this.#options.bus.post('acked', { acks })
  }

  #resolve(acks: readonly AckRange[]): void {
    for (const { origin, number, count, offset, duplicate, epoch } of acks) {
      if (!this.#isOwn(origin)) continue
      for (let i = 0; i < count; i++)
        this.#take(`${origin}-${number + i}`)?.receipt.ack(
          offset === undefined ? undefined : offset + i,
          duplicate,
          epoch,
        )
    }
    this.#options.events.counted()
  }

  #isOwn(idOrOrigin: string): boolean {
    return idOrOrigin.startsWith(this.#options.bus.id)
  }

  #take(id: string): Item | undefined {
    const item = this.#pending.get(id)
    if (!item) return undefined
    this.#pending.delete(id)
    this.#pendingChars -= item.chars
    return item
  }

  settle(topic: DurableTopic): void {
    this.#settling.add(topic)
    void this.#settler.run()
  }

  async #settle(): Promise<void> {
    const topics = [...this.#settling]
    this.#settling.clear()
    const settlements = topics.flatMap((topic) => topic.settlement() ?? [])
    if (settlements.length === 0 || !this.#store) return
    try {
      await this.#store.settle(settlements)
    } catch {
      // It is sent again after a reload, and recognised.
    }
    this.#tellCounts()
  }

  /** Nothing behind a refused message is sent before it is recorded; so this waits for room, and for nothing else. */
  async setAside(record: () => Promise<SetAside>): Promise<void> {
    for (;;) {
      try {
        const { refusals, count } = await record()
        this.#countSetAside(count)
        this.#options.bus.post('refused', { refusals })
        this.#reject(refusals)
        void this.#speakForTheGone(refusals)
        return
      } catch (error) {
        this.report(error)
        if (this.#closed || !this.#store) return
        await pause(AGAIN_MS)
      }
    }
  }

  #reject(refusals: readonly Refusal[]): void {
    for (const refusal of refusals) {
      const item = this.#take(refusal.id)
      if (!item || this.#closed) continue
      const entry = entryOf(refusal)
      item.receipt.fail(entry.error as RefusedError)
      this.#options.events.refused(entry)
    }
  }

  /** Each refusal is an event in the tab that published; where that is gone, here. */
  async #speakForTheGone(refusals: readonly Refusal[]): Promise<void> {
    const byTab = Map.groupBy(refusals, ({ id }) => id.slice(0, this.#options.bus.id.length))
    for (const [tab, theirs] of byTab) {
      if (tab === this.#options.bus.id || (await this.#options.isAlive(tab)) || this.#closed) continue
      for (const refusal of theirs) this.#options.events.refused(entryOf(refusal))
    }
  }

  // ---- what was missed

  async #reconcile(): Promise<void> {
    const items = [...this.#pending.values()].filter(({ line }) => line === undefined)
    if (items.length === 0 || !this.#store) return
    try {
      const found = await this.#store.find(items)
      found.forEach((fate, i) => {
        const { id } = items[i] as Item
        if (fate === 'waiting') return
        if (fate === 'lost')
          this.#take(id)?.receipt.fail(
            new MessError('storage_lost', 'The browser has deleted the outbox', { scope: 'message' }),
          )
        else if ('code' in fate) this.#reject([fate])
        else this.#resolve([fate])
      })
      this.#recheck &&= found.includes('waiting')
    } catch (error) {
      this.report(error)
    }
  }

  // ---- counts

  #tellCounts(): void {
    if (this.#telling) return
    this.#telling = true
    soon(() => {
      this.#telling = false
      this.#options.events.counted()
      if (this.#leading) this.#options.bus.post('counts', this.#held)
    })
  }

  #countSetAside(count: number): void {
    if (count !== this.#setAside) this.#options.bus.post('setAside', { count })
    this.#setAsideNow(count)
  }

  #setAsideNow(count: number): void {
    this.#setAside = count
    this.#options.events.counted()
  }
}

function newBatch(): Batch {
  const { promise, resolve, reject } = Promise.withResolvers<Stored>()
  // Nobody has to look at it.
  promise.catch(() => {})
  return { items: [], promise, resolve, reject }
}

function additionOf(items: readonly Item[]): Addition {
  const { topic, origin, number } = items[0] as Item
  const keys = items.some(({ key }) => key !== undefined) ? items.map(({ key }) => key ?? null) : undefined
  return { topic, origin, number, keys, lines: items.map(({ line }) => line as string) }
}

function entryOf({ id, topic, code, message }: Refusal): OutboxEntry {
  return { id, topic, state: 'refused', error: new RefusedError(code, message, id) }
}

function failureOf(error: unknown): MessError {
  if (error instanceof MessError) return error
  if (error instanceof StoreFull)
    return new MessError('store_full', `${error.message}; what was stored before is intact`, {
      scope: 'message',
      retryable: true,
      cause: error,
    })
  return new MessError('storage_lost', 'The database of the outbox failed', { scope: 'mess', cause: error })
}
