import type { Topic } from '@messkit/sdk'
import { parseCursor } from '@messkit/sdk/protocol'
import type { FinalLog, HistoryEvent } from './checker/history.ts'

/** What writers write. `order` counts from 1 and by 1. */
export interface Note {
  readonly by: string
  readonly order: number
}

/** Publishes whenever an ack comes, so that so many messages are always on their way, and writes the history down. */
export class Writer {
  readonly name: string
  /** Of its messages, in their order, as the acks said. */
  readonly offsets: (number | undefined)[] = []
  readonly #topic: Topic<Note>
  readonly #history: HistoryEvent[]
  #publisher = ''
  #order = 0
  #ackedCount = 0
  #inFlight = 0
  #wanted = 0
  #waiting:
    | { readonly count: number; readonly resolve: () => void; readonly reject: (error: unknown) => void }
    | undefined

  constructor(topic: Topic<Note>, name: string, history: HistoryEvent[]) {
    this.#topic = topic
    this.name = name
    this.#history = history
  }

  /** As the broker knows it. */
  get publisher(): string {
    return this.#publisher
  }

  keepInFlight(count: number): void {
    this.#wanted = count
    this.#fill()
  }

  ackedMore(count: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting = { count: this.#ackedCount + count, resolve, reject }
      this.#tell()
    })
  }

  /** Resolves when everything published is acked. */
  async finish(): Promise<void> {
    this.#wanted = 0
    await this.ackedMore(this.#inFlight)
  }

  #fill(): void {
    while (this.#inFlight < this.#wanted) this.#publish()
  }

  #publish(): void {
    const order = ++this.#order
    this.#inFlight++
    const receipt = this.#topic.publish({ by: this.name, order })
    const { id } = receipt
    this.#publisher = id.slice(0, id.lastIndexOf('-'))
    this.#history.push({ e: 'publish', id, publisher: this.name, order })
    receipt.then(
      ({ offset, cursor, duplicate }) => {
        this.#inFlight--
        this.#ackedCount++
        this.offsets[order - 1] = offset
        this.#history.push({ e: 'acked', id, epoch: epochOf(cursor), offset, duplicate })
        this.#tell()
        this.#fill()
      },
      (error: unknown) => this.#waiting?.reject(error),
    )
  }

  #tell(): void {
    if (this.#waiting && this.#ackedCount >= this.#waiting.count) this.#waiting.resolve()
  }
}

/** A subscriber that stays subscribed through everything, and writes the history down under the name `reader`. */
export class Reader {
  #next = 0
  #waiting: { readonly next: number; readonly resolve: () => void } | undefined

  /** Resolves when its home has said where it starts. */
  static async start(topic: Topic<Note>, history: HistoryEvent[]): Promise<Reader> {
    const reader = new Reader()
    const sub = 'reader'
    const subscription = topic.subscribe(
      ({ id, offset, cursor }) => {
        history.push({ e: 'deliver', sub, epoch: epochOf(cursor), offset, id }, { e: 'handled', sub, offset })
        reader.#next = offset + 1
        reader.#tell()
      },
      { from: 'start', onGap: (gap) => void history.push({ e: 'gap', sub, epoch: '', ...gap }) },
    )
    const { epoch, offset } = parseCursor((await subscription.ready).cursor) as { epoch: string; offset: number }
    history.push({ e: 'start', sub, epoch, next: offset, resumed: false })
    return reader
  }

  reached(next: number): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting = { next, resolve }
      this.#tell()
    })
  }

  #tell(): void {
    if (this.#waiting && this.#next >= this.#waiting.next) this.#waiting.resolve()
  }
}

/** The log as a client sees it that had nothing to do with it. */
export async function readLog(topic: Topic<Note>): Promise<FinalLog> {
  const messages: { offset: number; id: string }[] = []
  let page = await topic.history({ limit: 1_000 })
  const epoch = epochOf(page.messages[0]?.cursor)
  for (;;) {
    messages.push(...page.messages.map(({ offset, id }) => ({ offset, id })))
    if (page.next === undefined) return { epoch, floor: 0, head: (messages.at(-1)?.offset ?? -1) + 1, messages }
    page = await topic.history({ limit: 1_000, from: page.next })
  }
}

const epochOf = (cursor: unknown): string => parseCursor(cursor)?.epoch ?? ''
