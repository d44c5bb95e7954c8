import type { Addition, IndexedDBOutbox } from '../store/indexeddb-outbox.ts'
import type { AckRange, Refusal, Row } from '../store/indexeddb-rows.ts'
import { entryOf, failureOf } from './durable-errors.ts'
import { MessError, type RefusedError } from './errors.ts'
import type { OutboxEntry } from './outbox.ts'
import { Pump } from './pump.ts'
import { PendingReceipt, type Stored } from './receipt.ts'

/** A message that this tab published and that is not acked. */
export interface Own {
  readonly id: string
  readonly origin: string
  readonly number: number
  readonly key: string | undefined
  readonly receipt: PendingReceipt
  /** Known from the start, but for one that is tried again. */
  topic: string
  /** Its payload, until it is stored. */
  line: string | undefined
}

/** What the next transaction writes. */
interface Batch extends PromiseWithResolvers<Stored> {
  readonly own: Own[]
}

export interface OwnMessagesOptions {
  /** Messages are on the disk, in rows of these topics; where the rows are not known, they must be read. */
  readonly stored: (topics: readonly string[], rows: readonly Row[]) => void
  readonly refused: (entry: OutboxEntry) => void
  readonly report: (error: MessError) => void
}

/**
 * What this tab published: stores it, and tells its receipts what became of it. Everything published in one go, and while a
 * transaction is under way, is one transaction.
 */
export class OwnMessages {
  readonly #options: OwnMessagesOptions
  readonly #waiting = new Map<string, Own>()
  readonly #writer = new Pump(() => this.#write())
  #batch: Batch | undefined
  #store: IndexedDBOutbox | undefined
  #keep: ((own: Own) => void) | undefined
  #chars = 0
  #closed = false

  constructor(options: OwnMessagesOptions) {
    this.#options = options
  }

  open(store: IndexedDBOutbox): void {
    this.#store = store
    void this.#writer.run()
  }

  /** There is no database, or none any more: what is not stored is kept by somebody else. */
  giveUp(keep: (own: Own) => void): void {
    this.#store = undefined
    this.#keep = keep
    void this.#writer.run()
  }

  get size(): number {
    return this.#waiting.size
  }

  /** Of what is not stored yet. */
  get chars(): number {
    return this.#chars
  }

  add(topic: string, line: string, key: string | undefined, receipt: PendingReceipt): void {
    this.#batch ??= newBatch()
    receipt.stored = this.#batch.promise
    this.#batch.own.push(this.#expect({ topic, line, key, receipt }))
    this.#chars += line.length
    void this.#writer.run()
  }

  #expect(message: Pick<Own, 'topic' | 'key' | 'line' | 'receipt'>): Own {
    const { id, origin, number } = message.receipt
    const own = { ...message, id, origin, number }
    this.#waiting.set(id, own)
    return own
  }

  /** What is not stored yet. */
  each(topic: string, see: (id: string, line: string, key: string | undefined) => void): void {
    for (const own of this.#waiting.values())
      if (own.topic === topic && own.line !== undefined) see(own.id, own.line, own.key)
  }

  /** Resolves when everything published before is stored, or cannot be. */
  write(): Promise<void> {
    return this.#writer.run()
  }

  async #write(): Promise<void> {
    const batch = this.#batch
    if (!batch || !(this.#store || this.#keep)) return
    this.#batch = undefined
    const { own } = batch
    const chars = own.reduce((sum, { line }) => sum + (line as string).length, 0)
    try {
      if (!this.#store) return this.#handOver(batch)
      // Each origin counts messages of one topic, without holes among those that are added in one go.
      const rows = await this.#store.add([...Map.groupBy(own, ({ origin }) => origin).values()].map(additionOf))
      batch.resolve({ durability: 'disk' })
      // Whoever waits for this goes on before what comes next is begun.
      await undefined
      this.#stored(own, rows)
    } catch (error) {
      if (!this.#store) return this.#handOver(batch)
      const failure = failureOf(error)
      batch.reject(failure)
      for (const { id } of own) this.#take(id)?.receipt.fail(failure)
      this.#options.report(failure)
    } finally {
      this.#chars -= chars
    }
  }

  #stored(own: readonly Own[], rows: readonly Row[]): void {
    for (const message of own) message.line = undefined
    this.#options.stored([...new Set(own.map(({ topic }) => topic))], rows)
  }

  #handOver({ own, resolve }: Batch): void {
    for (const message of own) {
      this.#take(message.id)
      this.#keep?.(message)
    }
    resolve({ durability: 'memory' })
  }

  /** Publish what was set aside again, as a new message. Who asks looks at `stored`. */
  retry(id: string, origin: string, ready: Promise<void>): PendingReceipt {
    const receipt = new PendingReceipt(origin, 1)
    const own = this.#expect({ topic: '', key: undefined, line: '', receipt })
    const store = async (): Promise<Stored> => {
      try {
        await ready
        const rows = await this.#store?.retry(id, origin)
        if (!rows) throw new MessError('bad_option', `No refused message has the id ${id}`, { scope: 'mess' })
        own.topic = rows[0]?.topic ?? ''
        this.#stored([own], rows)
        return { durability: 'disk' }
      } catch (error) {
        const failure = failureOf(error)
        this.#take(receipt.id)?.receipt.fail(failure)
        throw failure
      }
    }
    receipt.stored = store()
    return receipt
  }

  // ---- fates

  acked(acks: readonly AckRange[]): void {
    for (const { origin, number, count, offset, duplicate, epoch } of acks) {
      for (let i = 0; i < count; i++) {
        this.#take(`${origin}-${number + i}`)?.receipt.ack(offset === undefined ? offset : offset + i, duplicate, epoch)
      }
    }
  }

  refused(refusals: readonly Refusal[]): void {
    for (const refusal of refusals) {
      const own = this.#take(refusal.id)
      if (!own || this.#closed) continue
      const entry = entryOf(refusal)
      own.receipt.fail(entry.error as RefusedError)
      this.#options.refused(entry)
    }
  }

  /** Look up what this tab may not have heard. @returns whether something still waits */
  async recall(): Promise<boolean> {
    const stored = [...this.#waiting.values()].filter(({ line }) => line === undefined)
    const found = (stored.length > 0 && (await this.#store?.find(stored))) || []
    found.forEach((fate, i) => {
      if (fate === 'waiting') return
      const { id } = stored[i] as Own
      if (fate === 'lost') this.#take(id)?.receipt.fail(failureOf(fate))
      else if ('topic' in fate) this.refused([fate])
      else this.acked([fate])
    })
    return found.includes('waiting')
  }

  close(): void {
    this.#closed = true
    const closed = new MessError('closed', 'The client was closed', { scope: 'message' })
    for (const { receipt } of this.#waiting.values()) receipt.fail(closed)
  }

  #take(id: string): Own | undefined {
    const own = this.#waiting.get(id)
    this.#waiting.delete(id)
    return own
  }
}

function newBatch(): Batch {
  const batch = { own: [], ...Promise.withResolvers<Stored>() }
  // Nobody has to look at it.
  batch.promise.catch(() => {})
  return batch
}

function additionOf(own: readonly Own[]): Addition {
  const { topic, origin, number } = own[0] as Own
  return {
    topic,
    origin,
    number,
    keys: own.some(({ key }) => key !== undefined) ? own.map(({ key }) => key ?? null) : undefined,
    lines: own.map(({ line }) => line as string),
  }
}
