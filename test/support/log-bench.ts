import { type Identity, type LogEffect, type LogEvent, NOBODY } from '../../packages/sdk/src/broker/machine.ts'
import type { Retention } from '../../packages/sdk/src/broker/retention.ts'
import { TopicLog } from '../../packages/sdk/src/broker/topic-log.ts'
import {
  encodeNotification,
  encodePublish,
  encodeRequest,
  type Frame,
  LINE_BREAK,
  parseFrame,
} from '../../packages/sdk/src/protocol/codec.ts'
import type { PublishParams } from '../../packages/sdk/src/protocol/frames/publish.ts'
import { decodeRequest } from '../../packages/sdk/src/protocol/requests.ts'
import { MemoryStore } from '../../packages/sdk/src/store/memory.ts'
import type { Commit } from '../../packages/sdk/src/store/store.ts'

export interface BenchOptions {
  readonly retention?: Retention
  readonly store?: MemoryStore
  readonly epoch?: string
  readonly nowMs?: number
}

/** A frame as it arrived at a link. */
export interface Arrived {
  readonly link: number
  readonly frame: Frame
}

export const TOPIC = 'chat'
export const EPOCH = '0mi8zq4k0abcdefg'

/**
 * A topic log by itself, over memory: events go in, effects are kept. Reads are answered at once; commits too, unless `held`, and then by
 * {@link settle}.
 */
export class LogBench {
  readonly log: TopicLog
  readonly store: MemoryStore
  readonly effects: LogEffect[] = []
  nowMs: number
  held = false
  #waiting: Extract<LogEffect, { name: 'commit' }> | undefined
  #lastId = 0
  readonly #queue: LogEvent[] = []
  readonly #parsed = new WeakMap<LogEffect, Frame>()

  constructor({
    retention = {},
    store = new MemoryStore(),
    epoch = EPOCH,
    nowMs = 1_800_000_000_000,
  }: BenchOptions = {}) {
    this.store = store
    this.nowMs = nowMs
    this.log = new TopicLog(store.load(epoch), { topic: TOPIC, retention })
  }

  tell(event: LogEvent): void {
    this.#queue.push(event)
    if (this.#queue.length > 1) return
    // As the driver does: what an effect leads to comes after all effects of the step.
    for (; this.#queue[0]; this.#queue.shift())
      for (const effect of this.log.step(this.#queue[0], this.nowMs)) this.#run(effect)
  }

  #run(effect: LogEffect): void {
    this.effects.push(effect)
    if (effect.name === 'commit') {
      if (this.#waiting) throw new Error('two commits are in flight')
      this.#waiting = effect
      if (!this.held) this.settle()
    } else if (effect.name === 'read') {
      const { reader, direction, offset, maxBytes } = effect
      const chunks = direction === 'on' ? this.store.read(offset, maxBytes) : this.store.readBefore(offset, maxBytes)
      this.tell({ name: 'chunks-read', reader, chunks })
    }
  }

  /** The commit in flight becomes durable, as does what it lets go. */
  settle(): void {
    const { commit, write } = this.#waiting ?? {}
    if (commit === undefined || !write) throw new Error('no commit is in flight')
    this.#waiting = undefined
    this.store.commit(write)
    this.tell({ name: 'durable', commit })
  }

  get inFlight(): Commit | undefined {
    return this.#waiting?.write
  }

  /** A link that has said hello. */
  open(link: number, identity: Identity = NOBODY): void {
    this.tell({ name: 'opened', link, state: { identity, greeted: true, subscriptions: [] } })
  }

  /** @returns the request's number */
  ask(link: number, method: string, params: object): number {
    const id = ++this.#lastId
    this.#frame(link, encodeRequest(id, method, { topic: TOPIC, ...params }))
    return id
  }

  notify(link: number, method: string, params: object): void {
    this.#frame(link, encodeNotification(method, { topic: TOPIC, ...params }))
  }

  publish(link: number, params: Omit<PublishParams, 'topic'>, payloads: readonly unknown[]): number {
    const id = ++this.#lastId
    const body = payloads.map((payload) => JSON.stringify(payload)).join(LINE_BREAK)
    this.#frame(link, encodePublish(id, { topic: TOPIC, ...params }, body))
    return id
  }

  #frame(link: number, text: string): void {
    this.tell({ name: 'frame', link, frame: decodeRequest(text) })
  }

  /** All frames sent so far, one entry for every link. */
  get sent(): Arrived[] {
    return this.effects.flatMap((effect) =>
      effect.name === 'send' ? effect.links.map((link) => ({ link, frame: this.#read(effect) })) : [],
    )
  }

  #read(effect: Extract<LogEffect, { name: 'send' }>): Frame {
    const known = this.#parsed.get(effect) ?? (parseFrame(effect.text) as Frame)
    this.#parsed.set(effect, known)
    return known
  }

  answer(id: number): Frame | undefined {
    return this.sent.find(({ frame }) => frame.id === id)?.frame
  }

  result(id: number): unknown {
    return this.answer(id)?.result
  }

  code(id: number): unknown {
    return (this.answer(id)?.error?.data as { code?: unknown } | undefined)?.code
  }

  notes(link: number, method?: string): Frame[] {
    return this.sent.flatMap(({ link: to, frame }) =>
      to === link && frame.method !== undefined && (method ?? frame.method) === frame.method ? [frame] : [],
    )
  }

  of<N extends LogEffect['name']>(name: N): Extract<LogEffect, { name: N }>[] {
    return this.effects.filter((effect): effect is Extract<LogEffect, { name: N }> => effect.name === name)
  }
}
