import type { Port, TopicHome } from '../../packages/sdk/src/broker/home.ts'
import type { Identity, LinkState } from '../../packages/sdk/src/broker/machine.ts'
import {
  encodeNotification,
  encodePublish,
  encodeRequest,
  type Frame,
  LINE_BREAK,
  parseFrame,
} from '../../packages/sdk/src/protocol/codec.ts'
import { parseCursor } from '../../packages/sdk/src/protocol/cursor.ts'
import type { DeliverParams, GapParams } from '../../packages/sdk/src/protocol/frames/deliver.ts'
import type { HistoryParams, HistoryResult } from '../../packages/sdk/src/protocol/frames/history.ts'
import type { Fate, PublishParams, PublishResult } from '../../packages/sdk/src/protocol/frames/publish.ts'
import type { From, SubscribeResult } from '../../packages/sdk/src/protocol/frames/subscribe.ts'
import { LIMITS } from '../../packages/sdk/src/protocol/limits.ts'

export const TOPIC = 'rooms/42'

/** Where a subscription is, and everything it has got. */
export class Reader {
  readonly messages: unknown[] = []
  readonly gaps: GapParams[] = []
  /** What no subscriber may ever see: a range that does not begin where the last one ended. */
  readonly problems: string[] = []
  readonly id: number
  readonly start: SubscribeResult
  readonly epoch: string
  next: number
  through = 0
  granted: number
  /** Gives credit for whatever arrives, at once. */
  generous: boolean
  readonly #client: FrameClient
  readonly #window: number

  constructor(
    client: FrameClient,
    id: number,
    { start, window, generous }: { start: SubscribeResult; window: number; generous: boolean },
  ) {
    const { epoch, offset } = parseCursor(start.cursor) as { epoch: string; offset: number }
    this.id = id
    this.start = start
    this.epoch = epoch
    this.next = offset
    this.generous = generous
    this.granted = 0
    this.#client = client
    this.#window = window
  }

  take({ method, params }: Frame): void {
    if (method === 'gap') this.#skip(params as GapParams)
    else this.#deliver(params as DeliverParams)
    if (this.generous) this.grant(this.through + this.#window)
  }

  #deliver({ first, next, through, messages }: DeliverParams): void {
    if (first !== this.next) this.problems.push(`stands at ${this.next} and got ${first} to ${next}`)
    if (messages.length !== next - first) this.problems.push(`${messages.length} messages from ${first} to ${next}`)
    this.messages.push(...messages)
    this.next = next
    this.through = through
  }

  #skip(gap: GapParams): void {
    if (gap.from !== this.next) this.problems.push(`stands at ${this.next} and got a gap from ${gap.from}`)
    if (this.gaps.at(-1)?.to === gap.from) this.problems.push(`got two gaps in a row at ${gap.from}`)
    this.gaps.push(gap)
    this.next = gap.to
    this.through = gap.through
  }

  /** Handled everything up to here: `bytes` more may come. */
  credit(bytes: number): void {
    this.grant(this.through + bytes)
  }

  grant(through: number): void {
    this.granted = Math.max(this.granted, through)
    this.#client.notify('credit', { subscription: this.id, through })
  }

  async reaches(offset: number): Promise<void> {
    await this.#client.until(() => this.next >= offset)
  }
}

/** The smallest client there can be: frames in, frames out, over a link inside the process. Never waits by the clock. */
export class FrameClient implements Port {
  readonly texts: string[] = []
  readonly frames: Frame[] = []
  readonly readers = new Map<number, Reader>()
  closed: { code: number; reason: string } | undefined
  state: LinkState
  /** Under this name it publishes what {@link append} is given. */
  readonly publisher: string
  sequence = 0
  #home: TopicHome
  #link: number
  #lastId = 0
  #lastSubscription = 0
  readonly #watchers = new Set<() => void>()
  readonly #starting = new Map<number, (start: SubscribeResult) => void>()

  constructor(home: TopicHome, { state, publisher }: { state: LinkState; publisher: string }) {
    this.state = state
    this.publisher = publisher
    this.#home = home
    this.#link = home.attach(this, state)
  }

  // ---- what the home does to it

  send(text: string): void {
    const frame = parseFrame(text)
    if (!frame) throw new Error(`the home sent ${text}`)
    this.texts.push(text)
    this.frames.push(frame)
    if (typeof frame.id === 'number' && frame.result) this.#starting.get(frame.id)?.(frame.result as SubscribeResult)
    const { subscription } = (frame.params ?? {}) as { subscription?: number }
    if (subscription !== undefined) this.readers.get(subscription)?.take(frame)
    this.#changed()
  }

  close(code: number, reason: string): void {
    this.closed = { code, reason }
    this.#changed()
  }

  remember(state: LinkState): void {
    // As an attachment does: what is kept is text, not the object.
    this.state = JSON.parse(JSON.stringify(state)) as LinkState
  }

  #changed(): void {
    for (const watcher of [...this.#watchers]) watcher()
  }

  // ---- links

  /** The home has lost its memory, and the link has not noticed. */
  outlive(home: TopicHome): void {
    this.#home = home
    this.#link = home.attach(this, this.state)
  }

  leave(): void {
    this.#home.detach(this.#link)
  }

  /** What its user may do has changed. */
  judge(identity: Identity): void {
    this.#home.judge(this.#link, identity)
  }

  // ---- asking

  sendText(text: string): void {
    this.#home.receive(this.#link, text)
  }

  /** @returns the number under which the answer comes */
  request(method: string, params: object): number {
    const id = ++this.#lastId
    this.sendText(encodeRequest(id, method, { topic: TOPIC, ...params }))
    return id
  }

  notify(method: string, params: object): void {
    this.sendText(encodeNotification(method, { topic: TOPIC, ...params }))
  }

  requestPublish(params: Omit<PublishParams, 'topic'>, payloads: readonly unknown[]): number {
    return this.requestLines(
      params,
      payloads.map((payload) => JSON.stringify(payload)),
    )
  }

  requestLines(params: Omit<PublishParams, 'topic'>, lines: readonly string[]): number {
    const id = ++this.#lastId
    this.sendText(encodePublish(id, { topic: TOPIC, ...params }, lines.join(LINE_BREAK)))
    return id
  }

  // ---- answers

  /** Resolves as soon as the condition holds, which is looked at whenever something has arrived. */
  until(condition: () => boolean): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const look = (): void => {
      if (condition()) resolve()
      else if (this.closed) reject(new Error(`the link was closed: ${this.closed.code} ${this.closed.reason}`))
      else return
      this.#watchers.delete(look)
    }
    this.#watchers.add(look)
    look()
    return promise
  }

  answered(id: number): Frame | undefined {
    return this.frames.find((frame) => frame.id === id)
  }

  async answer(id: number): Promise<Frame> {
    await this.until(() => this.answered(id) !== undefined)
    return this.answered(id) as Frame
  }

  async result<T>(id: number): Promise<T> {
    const { result, error } = await this.answer(id)
    if (error) throw new Error(`refused: ${JSON.stringify(error)}`)
    return result as T
  }

  /** The code with which a request is refused. */
  async refusal(id: number): Promise<unknown> {
    const { error, result } = await this.answer(id)
    if (!error) throw new Error(`not refused: ${JSON.stringify(result)}`)
    return (error.data as { code: unknown }).code
  }

  async ended(): Promise<{ code: number; reason: string }> {
    await this.until(() => this.closed !== undefined)
    return this.closed as { code: number; reason: string }
  }

  /** Resolves when everything that this link sent before has been looked at, but for what waits for the store. */
  async fence(): Promise<void> {
    await this.answer(this.request('unsubscribe', { subscription: 0xffff_ffff }))
  }

  // ---- in one call

  async hello(): Promise<void> {
    await this.result(this.request('hello', { versions: [1] }))
  }

  async publish(params: Omit<PublishParams, 'topic'>, payloads: readonly unknown[]): Promise<Fate[]> {
    const { fates } = await this.result<PublishResult>(this.requestPublish(params, payloads))
    return fates
  }

  /** @returns the number under which the ack comes */
  requestAppend(...payloads: unknown[]): number {
    const first = this.sequence + 1
    this.sequence += payloads.length
    return this.requestPublish({ publisher: this.publisher, after: first - 1, first }, payloads)
  }

  /** @returns the offset of the first one */
  async append(...payloads: unknown[]): Promise<number> {
    const { fates } = await this.result<PublishResult>(this.requestAppend(...payloads))
    const [fate] = fates
    if (fates.length !== 1 || fate?.fate !== 'stored') throw new Error(`not stored: ${JSON.stringify(fates)}`)
    return fate.offset as number
  }

  async subscribe(
    from: From,
    { window = LIMITS.creditBytes, generous = true }: { window?: number; generous?: boolean } = {},
  ): Promise<Reader> {
    const subscription = ++this.#lastSubscription
    const id = ++this.#lastId
    // Messages may follow the answer in the same turn, so the reader is there with the answer.
    this.#starting.set(id, (start) =>
      this.readers.set(subscription, new Reader(this, subscription, { start, window, generous })),
    )
    this.sendText(encodeRequest(id, 'subscribe', { topic: TOPIC, subscription, from, window }))
    await this.result(id)
    return this.readers.get(subscription) as Reader
  }

  async history(params: Partial<Omit<HistoryParams, 'topic'>> = {}): Promise<HistoryResult> {
    return this.result(this.request('history', { limit: LIMITS.historyMessages, ...params }))
  }
}
