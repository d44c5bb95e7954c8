import { CLIENT_LIMITS } from '../protocol/client-limits.ts'
import { LINE_BREAK } from '../protocol/codec.ts'
import type { ErrorCode } from '../protocol/error-codes.ts'
import type { Fate } from '../protocol/frames/publish.ts'
import type { IndexedDBOutbox, Refused, Settlement } from '../store/indexeddb-outbox.ts'
import type { AckRange, Counter, Refusal, Row } from '../store/indexeddb-rows.ts'
import type { TopicOutbox } from './outbox.ts'
import { Publisher, type Unsent } from './publisher.ts'
import { Pump } from './pump.ts'
import { PendingReceipt } from './receipt.ts'

/** What a topic needs of the outbox that it is part of. */
export interface DurableHost {
  /** Whether this tab drains the outbox. */
  readonly leading: boolean
  readonly store: IndexedDBOutbox
  /** The same topic in memory, once there is no database. */
  memory(topic: DurableTopic): TopicOutbox | undefined
  /** Keep a message that this tab publishes. */
  add(topic: DurableTopic, line: string, key: string | undefined, receipt: PendingReceipt): void
  owns(publisher: string): boolean
  /** Messages came into this tab's hands, or left them. */
  count(messages: number, chars: number): void
  /** There is something to send. */
  wake(topic: DurableTopic): void
  acked(topic: DurableTopic, acks: readonly AckRange[]): void
  /** Write down how far it has come. */
  settle(topic: DurableTopic): void
  /** Record what is set aside, however long it takes. */
  setAside(record: () => Promise<readonly Refusal[]>): Promise<void>
  report(error: unknown): void
}

/** A message in a row that begins at sequence `row`. */
interface Held extends Unsent {
  readonly row: number
}

/**
 * One topic of the durable outbox. Only the tab that drains the outbox holds messages here: it takes rows from the database, in order
 * and each once, whoever wrote them. In all other tabs the publisher is empty.
 */
export class DurableTopic implements TopicOutbox {
  readonly name: string
  /** Begins the ids of what this tab publishes here. */
  readonly origin: string
  changed: () => void = () => {}
  #number = 0
  readonly #host: DurableHost
  readonly #nothing = new Publisher<Held>('nothing')
  #publisher: Publisher<Held> | undefined
  /** Sequence of the first row that was not taken yet. */
  #expected = 0
  /** Counts how often everything was let go. */
  #life = 0
  #abandoning = false
  #outlived = false
  #acks: AckRange[] = []
  /** First row with a message whose refusal is not recorded yet. It must stay until then. */
  #refused: number | undefined
  readonly #filling = new Pump(() => this.#fill())

  constructor(host: DurableHost, name: string, origin: string) {
    this.#host = host
    this.name = name
    this.origin = origin
  }

  publisher(): Publisher {
    return this.#host.memory(this)?.publisher() ?? this.#publisher ?? this.#nothing
  }

  add(
    line: string,
    key: string | undefined,
    receipt = new PendingReceipt(this.origin, this.#number + 1),
  ): PendingReceipt {
    this.#host.add(this, line, key, receipt)
    // A number whose message could not be kept is given to the next one.
    if (receipt.origin === this.origin) this.#number++
    return receipt
  }

  owns(publisher: string): boolean {
    return this.#host.owns(publisher) || this.#host.memory(this)?.owns(publisher) === true
  }

  // ---- taking rows

  /** This tab has written rows. */
  wrote(rows: readonly Row[]): void {
    const [first] = rows
    if (first && first.publisher === this.#publisher?.id && first.first === this.#expected) this.#takeRows(rows)
    else this.fill()
  }

  lookAt({ next }: Counter): void {
    if (next > this.#expected) this.fill()
  }

  /** Take what there is to take. */
  fill(): void {
    if (this.#host.leading) void this.#filling.run()
  }

  async #fill(): Promise<void> {
    if (!this.#host.leading) return
    const life = this.#life
    try {
      const { counters, rows } = await this.#host.store.read(this.name, this.#expected)
      // Rows from where an earlier life stood would leave out those before them.
      if (life === this.#life) this.take(counters[0], rows)
    } catch (error) {
      this.#host.report(error)
    }
  }

  take(counter: Counter | undefined, rows: readonly Row[]): void {
    if (!this.#host.leading || !counter || this.#abandoning) return
    const { id = counter.publisher, size = 0 } = this.#publisher ?? {}
    if (id === counter.publisher) {
      this.#publisher ??= new Publisher(counter.publisher, counter.settled)
      this.#takeRows(rows)
      return
    }
    // Somebody has emptied the database, and another outbox stands where ours was. What is in our hands goes first.
    this.#outlived = size > 0
    if (this.#outlived) return
    this.release()
    this.fill()
  }

  #takeRows(rows: readonly Row[]): void {
    const publisher = this.#publisher as Publisher<Held>
    const { settled, size } = publisher
    for (const { first, count, origin, number, keys, body } of rows) {
      if (first < this.#expected) continue
      this.#expected = first + count
      body.split(LINE_BREAK).forEach((line, i) => {
        if (first + i <= settled) return
        publisher.add({
          sequence: first + i,
          line,
          key: keys?.[i] ?? undefined,
          origin,
          number: number + i,
          row: first,
        })
        this.#host.count(1, line.length)
      })
    }
    if (publisher.size > size) this.#host.wake(this)
    // A tab that drained the outbox before may have left behind what was done with.
    else if (rows.length > 0) this.#host.settle(this)
  }

  /** Another tab drains the outbox now, or nobody. */
  release(): void {
    this.#clear()
    this.#life++
    this.#publisher = undefined
    this.#expected = 0
    this.#acks = []
    this.#refused = undefined
  }

  #clear(): void {
    for (const { line } of this.#publisher?.clear() ?? []) this.#host.count(-1, -line.length)
  }

  // ---- fates

  settle(epoch: string, fates: readonly Fate[], noted: () => void): void {
    const memory = this.#host.memory(this)
    if (memory) memory.settle(epoch, fates, noted)
    else if (this.#publisher) this.#settle(this.#publisher, epoch, fates, noted)
    else noted()
  }

  #settle(publisher: Publisher<Held>, epoch: string, fates: readonly Fate[], noted: () => void): void {
    const acks: AckRange[] = []
    const refused: Refused[] = []
    for (const fate of fates) {
      for (const held of publisher.settle(fate)) {
        this.#host.count(-1, -held.line.length)
        if (fate.fate === 'refused') {
          this.#refused ??= held.row
          addRefused(refused, held, (fate.code ?? 'internal') as ErrorCode, fate.message)
        } else addAck(acks, held, fate, epoch)
      }
    }
    if (acks.length > 0) {
      this.#acks.push(...acks)
      this.#host.acked(this, acks)
    }
    if (refused.length > 0) {
      const life = this.#life
      this.#setAside(publisher.id, refused, false).then(() => {
        if (life === this.#life) this.#refused = undefined
        this.#host.settle(this)
        noted()
      })
    }
    if (this.#outlived) this.fill()
  }

  /** What has moved since this was asked for the last time. */
  settlement(): Settlement | undefined {
    const publisher = this.#publisher
    if (!publisher) return undefined
    const acks = this.#acks
    this.#acks = []
    return {
      topic: this.name,
      publisher: publisher.id,
      settled: publisher.settled,
      below: this.#refused ?? publisher.list()[0]?.row ?? this.#expected,
      acks,
    }
  }

  /** A settlement was not written: its acks belong to the next one. */
  keep(acks: readonly AckRange[]): this {
    this.#acks = [...acks, ...this.#acks].slice(-CLIENT_LIMITS.outboxAcks)
    return this
  }

  abandon(code: ErrorCode, message: string, noted: () => void): void {
    const memory = this.#host.memory(this)
    if (memory) memory.abandon(code, message, noted)
    else if (this.#publisher) this.#abandon(this.#publisher, code, message, noted)
    else noted()
  }

  #abandon(lost: Publisher<Held>, code: ErrorCode, message: string, noted: () => void): void {
    this.#abandoning = true
    this.release()
    this.#setAside(lost.id, [{ first: 1, count: Number.POSITIVE_INFINITY, code, message }], true).then(() => {
      this.#abandoning = false
      this.fill()
      noted()
    })
  }

  #setAside(publisher: string, refused: readonly Refused[], forgotten: boolean): Promise<void> {
    return this.#host.setAside(() => this.#host.store.setAside(this.name, publisher, refused, forgotten))
  }
}

function addAck(acks: AckRange[], { origin, number, sequence }: Held, fate: Fate, epoch: string): void {
  const offset = fate.offset === undefined ? undefined : fate.offset + sequence - fate.first
  const duplicate = fate.fate !== 'stored'
  const last = acks.at(-1)
  const goesOn =
    last?.origin === origin &&
    last.number + last.count === number &&
    last.duplicate === duplicate &&
    (last.offset === undefined ? offset === undefined : last.offset + last.count === offset)
  if (last && goesOn) last.count++
  else acks.push({ origin, number, count: 1, offset, duplicate, epoch })
}

function addRefused(refused: Refused[], { sequence }: Held, code: ErrorCode, message = 'The home refused it'): void {
  const last = refused.at(-1)
  if (last && last.first + last.count === sequence && last.code === code && last.message === message) last.count++
  else refused.push({ first: sequence, count: 1, code, message })
}
