import { LINE_BREAK } from '../protocol/codec.ts'
import type { ErrorCode } from '../protocol/error-codes.ts'
import type { Fate } from '../protocol/frames/publish.ts'
import type {
  AckRange,
  Counter,
  IndexedDBOutbox,
  Refused,
  Row,
  SetAside,
  Settlement,
} from '../store/indexeddb-outbox.ts'
import type { TopicOutbox } from './outbox.ts'
import { Publisher, type Unsent } from './publisher.ts'
import { Pump } from './pump.ts'
import type { PendingReceipt } from './receipt.ts'

/** What a topic needs of the outbox that it is part of. */
export interface DurableHost {
  /** Whether this tab drains the outbox. */
  readonly leading: boolean
  readonly store: IndexedDBOutbox
  /** The same topic in memory, once there is no database. */
  memory(topic: DurableTopic): TopicOutbox | undefined
  add(topic: DurableTopic, line: string, key: string | undefined): PendingReceipt
  owns(publisher: string): boolean
  /** Messages came into this tab's hands, or left them. */
  count(messages: number, chars: number): void
  /** There is something to send. */
  wake(topic: DurableTopic): void
  acked(acks: readonly AckRange[]): void
  settle(topic: DurableTopic): void
  /** Record what is set aside, however long it takes. */
  setAside(record: () => Promise<SetAside>): Promise<void>
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
  /** Count of those. */
  number = 0
  changed: () => void
  readonly #host: DurableHost
  readonly #nothing = new Publisher<Held>('nothing')
  #publisher: Publisher<Held> | undefined
  /** Sequence of the first row that was not taken yet. */
  #expected = 0
  #abandoning = false
  #acks: AckRange[] = []
  readonly #filling = new Pump(() => this.#fill())

  constructor(host: DurableHost, name: string, origin: string, changed: () => void) {
    this.#host = host
    this.name = name
    this.origin = origin
    this.changed = changed
  }

  publisher(): Publisher {
    return this.#host.memory(this)?.publisher() ?? this.#publisher ?? this.#nothing
  }

  add(line: string, key: string | undefined): PendingReceipt {
    return this.#host.memory(this)?.add(line, key) ?? this.#host.add(this, line, key)
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

  /** Take what there is to take. */
  fill(): void {
    if (this.#host.leading) void this.#filling.run()
  }

  async #fill(): Promise<void> {
    if (!this.#host.leading) return
    try {
      const { counters, rows } = await this.#host.store.read(this.name, this.#expected)
      this.take(counters[0], rows)
    } catch (error) {
      this.#host.report(error)
    }
  }

  take(counter: Counter | undefined, rows: readonly Row[]): void {
    if (!this.#host.leading || !counter || this.#abandoning) return
    if (this.#publisher && this.#publisher.id !== counter.publisher) {
      // Another outbox stands where ours was: somebody has emptied the database meanwhile.
      this.release()
      this.fill()
      return
    }
    this.#publisher ??= new Publisher(counter.publisher, counter.settled)
    this.#takeRows(rows)
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
  }

  /** Another tab drains the outbox now, or nobody. */
  release(): void {
    this.#clear()
    this.#publisher = undefined
    this.#expected = 0
    this.#acks = []
  }

  #clear(): void {
    for (const { line } of this.#publisher?.clear() ?? []) this.#host.count(-1, -line.length)
  }

  // ---- fates

  settle(epoch: string, fates: readonly Fate[], noted: () => void): void {
    const memory = this.#host.memory(this)
    if (memory) return memory.settle(epoch, fates, noted)
    const publisher = this.#publisher
    if (!publisher) return noted()
    const acks: AckRange[] = []
    const refused: Refused[] = []
    for (const fate of fates) {
      for (const held of publisher.settle(fate)) {
        this.#host.count(-1, -held.line.length)
        if (fate.fate === 'refused') addRefused(refused, held, (fate.code ?? 'internal') as ErrorCode, fate.message)
        else addAck(acks, held, fate, epoch)
      }
    }
    if (acks.length > 0) {
      this.#acks.push(...acks)
      this.#host.acked(acks)
      this.#host.settle(this)
    }
    if (refused.length > 0)
      this.#host.setAside(() => this.#host.store.refuse(this.name, publisher.id, refused)).then(noted)
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
      below: publisher.list()[0]?.row ?? this.#expected,
      acks,
    }
  }

  abandon(code: ErrorCode, message: string, noted: () => void): void {
    const memory = this.#host.memory(this)
    if (memory) return memory.abandon(code, message, noted)
    const lost = this.#publisher
    if (!lost) return noted()
    this.#abandoning = true
    this.release()
    this.#host
      .setAside(() => this.#host.store.abandon(this.name, lost.id, { code, message }))
      .then(() => {
        this.#abandoning = false
        this.fill()
        noted()
      })
  }
}

function addAck(acks: AckRange[], { origin, number, sequence }: Held, fate: Fate, epoch: string): void {
  const offset = fate.offset === undefined ? undefined : fate.offset + sequence - fate.first
  const duplicate = fate.fate === 'duplicate'
  const last = acks.at(-1)
  const goesOn =
    last?.origin === origin &&
    last.number + last.count === number &&
    last.duplicate === duplicate &&
    (last.offset === undefined ? offset === undefined : last.offset + last.count === offset)
  if (last && goesOn) last.count++
  else acks.push({ origin, number, count: 1, offset, duplicate, epoch })
}

function addRefused(
  refused: Refused[],
  { sequence }: Held,
  code: ErrorCode,
  message = 'The home refused the message',
): void {
  const last = refused.at(-1)
  if (last && last.first + last.count === sequence && last.code === code && last.message === message) last.count++
  else refused.push({ first: sequence, count: 1, code, message })
}
