import { crc32 } from 'node:zlib'
import type { Gap, Message, MessError, Subscription, Topic } from '@messkit/sdk'
import { type Cursor, makeCursor, parseCursor } from '@messkit/sdk/protocol'
import type { HistoryEvent } from './checker/history.ts'

/** What writers write. `order` counts from 1 and by 1. */
export interface Note {
  readonly by: string
  readonly order: number
  readonly pad?: string
}

/** Where actors write down what happens to them. */
export interface Recorder {
  push(event: HistoryEvent): unknown
}

/** A reader that was turned away asks again after this long, in ms. */
const AGAIN_MS = 20

/** Publishes whenever an ack comes, so that so many messages are always on their way, and writes the history down. */
export class Writer {
  readonly name: string
  /** Of its messages, in their order, as the acks said. */
  readonly offsets: (number | undefined)[] = []
  /** Right behind the newest message that it knows to be stored. */
  cursor: Cursor | undefined
  readonly #topic: Topic<Note>
  readonly #recorder: Recorder
  readonly #pad: () => string | undefined
  readonly #open = new Set<string>()
  #publisher = ''
  #order = 0
  /** And refused, where rights change. */
  #ackedCount = 0
  #wanted = 0
  #last = 0
  #gone = false
  #waiting:
    | { readonly count: number; readonly resolve: () => void; readonly reject: (error: unknown) => void }
    | undefined

  /** @param pad what makes a message longer, anew for each */
  constructor(topic: Topic<Note>, name: string, recorder: Recorder, pad = (): string | undefined => undefined) {
    this.#topic = topic
    this.name = name
    this.#recorder = recorder
    this.#pad = pad
  }

  /** As the broker knows it. */
  get publisher(): string {
    return this.#publisher
  }

  /** @param atMost so many more are published, however fast acks come */
  keepInFlight(count: number, atMost = Number.POSITIVE_INFINITY): void {
    this.#wanted = count
    this.#last = this.#order + atMost
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
    await this.ackedMore(this.#open.size)
  }

  /** Its client is gone with all that it kept in memory: what is not acked may be stored or not. */
  crashed(): void {
    this.#gone = true
    for (const id of this.#open) this.#recorder.push({ e: 'unknown', id, why: 'crash' })
  }

  #fill(): void {
    while (!this.#gone && this.#open.size < this.#wanted && this.#order < this.#last) this.#publish()
  }

  #publish(): void {
    const order = ++this.#order
    const pad = this.#pad()
    const note: Note = { by: this.name, order, ...(pad !== undefined && { pad }) }
    const receipt = this.#topic.publish(note)
    const { id } = receipt
    this.#publisher = id.slice(0, id.lastIndexOf('-'))
    this.#open.add(id)
    this.#recorder.push({ e: 'publish', id, publisher: this.name, order, digest: digestOf(note) })
    receipt.then(
      ({ offset, cursor, duplicate }) => {
        if (this.#gone) return
        this.#open.delete(id)
        this.#ackedCount++
        this.offsets[order - 1] = offset
        this.cursor = cursor ?? this.cursor
        this.#recorder.push({ e: 'acked', id, epoch: epochOf(cursor), offset, duplicate })
        this.#tell()
        this.#fill()
      },
      (error: MessError) => {
        if (error.code === 'forbidden' && !this.#gone) this.#refused(id)
        else this.#waiting?.reject(error)
      },
    )
  }

  /** It lacked the right; what it publishes later may be stored again. */
  #refused(id: string): void {
    this.#open.delete(id)
    this.#ackedCount++
    this.#recorder.push({ e: 'refused', id })
    this.#tell()
    this.#fill()
  }

  #tell(): void {
    if (this.#waiting && this.#ackedCount >= this.#waiting.count) this.#waiting.resolve()
  }
}

export interface ReaderOptions {
  readonly name?: string
  readonly from?: 'start' | 'now' | Cursor
  /** Of the subscription, for one that is stopped and goes on. */
  readonly resume?: string
  /** It goes on after a crash, from where it had written down that it was. */
  readonly resumed?: boolean
  /** Runs between the arrival of a message and its end. */
  readonly handle?: () => Promise<void> | undefined
}

/** A subscriber that stays subscribed through everything, and writes the history down. */
export class Reader {
  readonly name: string
  /** Resolves when it is known where it starts. */
  ready!: Promise<void>
  /** Behind the newest message it has handled, once it has started. */
  position: Cursor | undefined
  readonly #recorder: Recorder
  readonly #handle: NonNullable<ReaderOptions['handle']>
  readonly #topic: Topic<Note>
  readonly #options: ReaderOptions
  #subscription!: Subscription
  #next = 0
  #gone = false
  #waiting: { readonly next: number; readonly resolve: () => void } | undefined

  /** Resolves when its home has said where it starts. */
  static async start(topic: Topic<Note>, recorder: Recorder, options?: ReaderOptions): Promise<Reader> {
    const reader = new Reader(topic, recorder, options)
    await reader.ready
    return reader
  }

  constructor(topic: Topic<Note>, recorder: Recorder, options: ReaderOptions = {}) {
    const { name = 'reader', from = 'start', resumed = false, handle = () => undefined } = options
    this.name = name
    this.#recorder = recorder
    this.#handle = handle
    this.#topic = topic
    this.#options = options
    const known = parseCursor(from)
    // Where it goes on is what the application wrote down; where "now" and "start" are, its home has to say.
    if (known) this.#start(known.epoch, known.offset, resumed)
    this.#subscribe(from, resumed)
  }

  #subscribe(from: NonNullable<ReaderOptions['from']>, resumed: boolean): void {
    const { resume } = this.#options
    const subscription = this.#topic.subscribe(
      (message) => (this.position ? this.#take(message) : this.ready.then(() => this.#take(message))),
      { from, onGap: (gap) => this.#gap(gap), ...(resume !== undefined && { resume }) },
    )
    this.#subscription = subscription
    this.ready = subscription.ready.then(({ cursor }) => {
      if (this.position || this.#gone) return
      const { epoch, offset } = parseCursor(cursor) as { epoch: string; offset: number }
      this.#start(epoch, offset, resumed)
    })
    this.ready.catch(() => {}) // it was stopped before
    subscription.done.catch(({ code }: MessError) => {
      if (code === 'forbidden') setTimeout(() => this.#again(), AGAIN_MS)
    })
  }

  /** It lacked the right, and may have it by now. */
  #again(): void {
    if (this.#gone) return
    const at = parseCursor(this.position)
    if (at) this.#start(at.epoch, at.offset, true)
    this.#subscribe(this.position ?? this.#options.from ?? 'start', at !== undefined)
  }

  reached(next: number): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting = { next, resolve }
      this.#tell()
    })
  }

  /** Ends the subscription; one with the same `resume` goes on. */
  stop(): void {
    this.#gone = true
    this.#subscription.stop()
  }

  #start(epoch: string, offset: number, resumed: boolean): void {
    this.#recorder.push({ e: 'start', sub: this.name, epoch, next: offset, resumed })
    this.#moved(epoch, offset)
  }

  #take(message: Message<Note>): Promise<void> | undefined {
    if (this.#gone) return undefined
    const { id, offset, cursor, data } = message
    const epoch = epochOf(cursor)
    const subscription = this.#subscription
    this.#recorder.push({ e: 'deliver', sub: this.name, epoch, offset, id, digest: digestOf(data) })
    const handled = (): void => {
      // What a handler was still at when its subscription ended has not been handled, and comes again.
      if (this.#gone || subscription.state === 'stopped') return
      this.#recorder.push({ e: 'handled', sub: this.name, offset })
      this.#moved(epoch, offset + 1)
    }
    const pending = this.#handle()
    if (pending) return pending.then(handled)
    handled()
    return undefined
  }

  #gap(gap: Gap): void {
    if (this.#gone) return
    // Only another life of the log has another name, and that one comes with the next message.
    const epoch = gap.reason === 'epoch' ? '' : epochOf(this.position)
    this.#recorder.push({ e: 'gap', sub: this.name, epoch, ...gap })
    if (epoch !== '') this.#moved(epoch, gap.to)
  }

  #moved(epoch: string, next: number): void {
    this.position = makeCursor(epoch, next)
    this.#next = next
    this.#tell()
  }

  #tell(): void {
    if (this.#waiting && this.#next >= this.#waiting.next) this.#waiting.resolve()
  }
}

/** Stands for the bytes of a message. */
export const digestOf = (note: Note): string => crc32(JSON.stringify(note)).toString(16)

const epochOf = (cursor: unknown): string => parseCursor(cursor)?.epoch ?? ''
