import { randomName } from '../platform.ts'
import { CLIENT_LIMITS } from '../protocol/client-limits.ts'
import type { ErrorCode } from '../protocol/error-codes.ts'
import type { Fate } from '../protocol/frames/publish.ts'
import { MessError, RefusedError } from './errors.ts'
import { Publisher, type Unsent } from './publisher.ts'
import { PendingReceipt, type Receipt, type Stored } from './receipt.ts'
import type { Watching } from './watching.ts'

/** A message that is not acked, as the application sees it. */
export interface OutboxEntry {
  readonly id: string
  readonly topic: string
  /** `waiting`: to be sent. `refused`: set aside; retry or discard it. */
  readonly state: 'waiting' | 'refused'
  readonly error: MessError | undefined
}

/** Messages published here that their homes have not acked, and those that were refused. */
export interface Outbox {
  list(): Promise<OutboxEntry[]>
  /** Publish a refused message again, as a new one behind all others. */
  retry(id: string): Receipt
  /** Forget a refused message. */
  discard(id: string): Promise<boolean>
}

/** What a topic's connection needs of the outbox. */
export interface TopicOutbox {
  /** The unacked messages that this side sends; empty while another tab sends them. */
  publisher(): Publisher
  /** Begins the ids that it gives, where that is known before it has stored anything. */
  readonly origin?: string
  /**
   * @param receipt whose id was given already; it keeps it
   * @throws {MessError} `outbox_full`
   */
  add(line: string, key: string | undefined, receipt?: PendingReceipt): PendingReceipt
  /** Fates came from the home. `noted` is called once refusals among them are recorded. */
  settle(epoch: string, fates: readonly Fate[], noted: () => void): void
  /** The home does not know the publisher any more: what is unacked may be stored or not, and is set aside. */
  abandon(code: ErrorCode, message: string, noted: () => void): void
  /** Whether a publisher is, or was, this outbox. */
  owns(publisher: string): boolean
}

/** Hears what becomes of own messages of one topic, those that waited before included. */
export interface OwnWatcher {
  /** Published here or in another tab; what was told before may be told again. */
  added(id: string, line: string, key: string | undefined): void
  /** Stored at its home; where, may be forgotten. */
  acked(id: string, offset: number | undefined): void
  refused(id: string, error: MessError): void
  /** Tried again as another message, or given up. */
  forgotten(id: string): void
}

/** The outbox of one client, whatever keeps it. */
export interface OutboxBackend extends Outbox {
  topic(name: string, changed: () => void): TopicOutbox
  /**
   * @param Kind brought along by who watches, since nobody else needs it
   * @returns what ends the watching
   */
  watch(topic: string, watcher: OwnWatcher, Kind: typeof Watching): () => void
  readonly unsent: number
  readonly refused: number
  close(): void
}

export interface OutboxEvents {
  refused(entry: OutboxEntry): void
  counted(): void
}

interface Held extends Unsent {
  readonly receipt: PendingReceipt
}

const IN_MEMORY: Promise<Stored> = Promise.resolve({ durability: 'memory' })

/** An outbox for the life of the process. Sequences are given at once. */
export class MemoryOutbox implements OutboxBackend {
  readonly #events: OutboxEvents
  readonly #topics = new Map<string, MemoryTopicOutbox>()
  readonly #refused = new Map<string, { topic: string; held: Held; error: RefusedError }>()
  watching: Watching | undefined
  #count = 0
  #bytes = 0

  constructor(events: OutboxEvents) {
    this.#events = events
  }

  get unsent(): number {
    return this.#count - this.#refused.size
  }

  get refused(): number {
    return this.#refused.size
  }

  topic(name: string, changed: () => void): TopicOutbox {
    const topic = this.#topics.get(name) ?? new MemoryTopicOutbox(this, name, changed)
    this.#topics.set(name, topic)
    return topic
  }

  watch(name: string, watcher: OwnWatcher, Kind: typeof Watching): () => void {
    for (const { receipt, line, key } of this.#topics.get(name)?.held ?? []) watcher.added(receipt.id, line, key)
    for (const [id, { topic, held, error }] of this.#refused) {
      if (topic !== name) continue
      watcher.added(id, held.line, held.key)
      watcher.refused(id, error)
    }
    this.watching ??= new Kind(() => undefined)
    return this.watching.watch(name, watcher)
  }

  /** @throws {MessError} `outbox_full` */
  count(line: string): void {
    const bytes = this.#bytes + line.length
    if (this.#count >= CLIENT_LIMITS.outboxMessages || bytes > CLIENT_LIMITS.outboxBytes) {
      throw new MessError('outbox_full', `The outbox holds ${this.#count} messages`, { scope: 'mess' })
    }
    this.#count++
    this.#bytes = bytes
    this.#events.counted()
  }

  uncount(held: Held): void {
    this.#count--
    this.#bytes -= held.line.length
  }

  changed(): void {
    this.#events.counted()
  }

  refuse(topic: string, held: Held, error: RefusedError): void {
    this.#refused.set(error.id, { topic, held, error })
    held.receipt.fail(error)
    this.watching?.tell(topic)?.refused(error.id, error)
    this.#events.refused({ id: error.id, topic, state: 'refused', error })
  }

  async list(): Promise<OutboxEntry[]> {
    const waiting = [...this.#topics].flatMap(([topic, { held }]) =>
      held.map(({ receipt }): OutboxEntry => ({ id: receipt.id, topic, state: 'waiting', error: undefined })),
    )
    const refused = [...this.#refused].map(
      ([id, { topic, error }]): OutboxEntry => ({ id, topic, state: 'refused', error }),
    )
    return [...waiting, ...refused]
  }

  /** Every home of before is gone, and with it all that it knew: what is not acked is published anew, under the same ids. */
  renew(): void {
    for (const topic of this.#topics.values()) topic.renew()
  }

  has(id: string): boolean {
    return this.#refused.has(id)
  }

  /** @throws {MessError} `bad_option` if it is not set aside (any more) */
  retry(id: string): Receipt {
    const { topic, held } = this.#take(id)
    return (this.#topics.get(topic) as MemoryTopicOutbox).add(held.line, held.key) as unknown as Receipt
  }

  async discard(id: string): Promise<boolean> {
    if (!this.#refused.has(id)) return false
    this.#take(id)
    return true
  }

  #take(id: string): { topic: string; held: Held } {
    const entry = this.#refused.get(id)
    if (!entry) throw new MessError('bad_option', `No refused message has the id ${id}`, { scope: 'mess' })
    this.#refused.delete(id)
    this.uncount(entry.held)
    this.watching?.tell(entry.topic)?.forgotten(id)
    this.#events.counted()
    return entry
  }

  close(): void {
    for (const { held } of this.#topics.values())
      for (const { receipt } of held)
        receipt.fail(new MessError('closed', 'The client was closed', { scope: 'message' }))
  }
}

class MemoryTopicOutbox implements TopicOutbox {
  readonly #backend: MemoryOutbox
  readonly #name: string
  readonly #changed: () => void
  #publisher: Publisher<Held> | undefined
  #sequence = 0
  readonly #own = new Set<string>()

  constructor(backend: MemoryOutbox, name: string, changed: () => void) {
    this.#backend = backend
    this.#name = name
    this.#changed = changed
  }

  get held(): Held[] {
    return this.#publisher?.list() ?? []
  }

  publisher(): Publisher<Held> {
    if (!this.#publisher) {
      this.#publisher = new Publisher(randomName())
      this.#own.add(this.#publisher.id)
    }
    return this.#publisher
  }

  owns(publisher: string): boolean {
    return this.#own.has(publisher)
  }

  add(line: string, key: string | undefined, given?: PendingReceipt): PendingReceipt {
    this.#backend.count(line)
    const publisher = this.publisher()
    const sequence = ++this.#sequence
    const receipt = given ?? new PendingReceipt(publisher.id, sequence)
    const { origin, number } = receipt
    receipt.stored = IN_MEMORY
    publisher.add({ sequence, line, key, origin, number, receipt })
    this.#backend.watching?.tell(this.#name)?.added(receipt.id, line, key)
    this.#changed()
    return receipt
  }

  renew(): void {
    const held = this.#publisher?.clear() ?? []
    this.#publisher = undefined
    this.#sequence = 0
    for (const { sequence: _, ...message } of held) this.publisher().add({ ...message, sequence: ++this.#sequence })
  }

  settle(epoch: string, fates: readonly Fate[], noted: () => void): void {
    const publisher = this.publisher()
    let refused = false
    for (const fate of fates) {
      for (const held of publisher.settle(fate)) {
        if (fate.fate === 'refused') {
          refused = true
          this.#refuse(held, (fate.code ?? 'internal') as ErrorCode, fate.message ?? 'The home refused it')
          continue
        }
        this.#backend.uncount(held)
        const offset = fate.offset === undefined ? undefined : fate.offset + held.sequence - fate.first
        this.#backend.watching?.tell(this.#name)?.acked(held.receipt.id, offset)
        held.receipt.ack(offset, fate.fate !== 'stored', epoch)
      }
    }
    this.#backend.changed()
    if (refused) noted()
  }

  abandon(code: ErrorCode, message: string, noted: () => void): void {
    const lost = this.publisher().clear()
    // The next message comes from a new publisher, whose count starts anew.
    this.#publisher = undefined
    this.#sequence = 0
    for (const held of lost) this.#refuse(held, code, message)
    this.#backend.changed()
    noted()
  }

  #refuse(held: Held, code: ErrorCode, message: string): void {
    this.#backend.refuse(this.#name, held, new RefusedError(code, message, held.receipt.id))
  }
}
