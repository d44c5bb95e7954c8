import type { Port } from '../../packages/sdk/src/broker/home.ts'
import type { QueueHome } from '../../packages/sdk/src/broker/queue-home.ts'
import type { QueueLinkState } from '../../packages/sdk/src/broker/queue-machine.ts'
import { encodeRequest, type Frame, LINE_BREAK, parseFrame, payloads } from '../../packages/sdk/src/protocol/codec.ts'
import type { Fate } from '../../packages/sdk/src/protocol/frames/publish.ts'
import type {
  ClaimResult,
  CountsResult,
  EnqueueParams,
  EnqueueResult,
  JobOptions,
  JobsParams,
  Lease,
  ListResult,
  LostParams,
  QueueMethod,
  QueueParams,
  SettleParams,
  WatchedJob,
  WatchResult,
  WorkResult,
} from '../../packages/sdk/src/protocol/frames/queue.ts'

export const QUEUE = 'mail/out'

/** A job as its worker got it. */
export interface Taken {
  readonly id: number
  readonly token: number
  readonly attempt: number
  readonly data: unknown
  readonly untilMs: number
  /** The schedule that it is from, and the tick that it is for. */
  readonly tick?: { readonly schedule: string; readonly at: number }
}

export const leaseOf = ({ id, token }: Taken): Lease => [id, token]

export function encodeEnqueue(id: number, params: EnqueueParams, bodies: readonly string[]): string {
  return `{"jsonrpc":"2.0","id":${id},"method":"enqueue","params":${JSON.stringify(params).slice(0, -1)},${payloads(bodies.join(LINE_BREAK))}`
}

/** The smallest client of a queue there can be: frames in, frames out, over a link inside the process. Never waits by the clock. */
export class QueueClient implements Port<QueueLinkState> {
  readonly frames: Frame[] = []
  /** Every job it was ever given, in order. */
  readonly taken: Taken[] = []
  readonly lost: LostParams[] = []
  closed: { code: number; reason: string } | undefined
  state: QueueLinkState
  readonly name: string
  #home: QueueHome
  #link: number
  #lastId = 0
  #sequence = 0
  readonly #watchers = new Set<() => void>()

  constructor(home: QueueHome, { state, name }: { state: QueueLinkState; name: string }) {
    this.state = state
    this.name = name
    this.#home = home
    this.#link = home.attach(this, state)
  }

  // ---- what the home does to it

  send(text: string): void {
    const frame = parseFrame(text)
    if (!frame) throw new Error(`the home sent ${text}`)
    this.frames.push(frame)
    if (frame.method === 'lost') this.lost.push(frame.params as LostParams)
    if (frame.method === 'jobs') {
      const { token, untilMs, jobs, ticks = [], messages } = frame.params as JobsParams
      jobs.forEach(([id, attempt], i) => {
        const [, schedule, at] = ticks.find(([index]) => index === i) ?? []
        const tick = schedule !== undefined && at !== undefined ? { tick: { schedule, at } } : {}
        this.taken.push({ id, token, attempt, data: messages[i], untilMs, ...tick })
      })
    }
    for (const watcher of [...this.#watchers]) watcher()
  }

  close(code: number, reason: string): void {
    this.closed = { code, reason }
    for (const watcher of [...this.#watchers]) watcher()
  }

  remember(state: QueueLinkState): void {
    this.state = JSON.parse(JSON.stringify(state)) as QueueLinkState
  }

  // ---- what it does

  /** @param left whether it says that it will not come back */
  leave({ left = false } = {}): void {
    this.#home.detach(this.#link, left)
  }

  /** The home lost its memory and this link did not. */
  outlive(home: QueueHome): void {
    this.#home = home
    this.#link = home.attach(this, this.state)
  }

  write(text: string): void {
    this.#home.receive(this.#link, text)
  }

  request<M extends QueueMethod>(method: M, params: object): number {
    const id = ++this.#lastId
    this.write(encodeRequest(id, method, method === 'hello' ? params : { queue: QUEUE, ...params }))
    return id
  }

  async answer(id: number): Promise<Frame> {
    const find = () => this.frames.find((frame) => frame.id === id)
    await this.until(() => find() !== undefined || this.closed !== undefined)
    const frame = find()
    if (!frame) throw new Error(`closed with ${this.closed?.reason} before the answer to ${id}`)
    return frame
  }

  async ask<R, M extends QueueMethod = QueueMethod>(
    method: M,
    params: Omit<QueueParams<M>, 'queue'> | object,
  ): Promise<R> {
    const { result, error } = await this.answer(this.request(method, params))
    if (error) throw Object.assign(new Error(error.message), error.data)
    return result as R
  }

  hello(): Promise<unknown> {
    return this.ask('hello', { versions: [1], client: 'test' })
  }

  /** A frame with one job per payload; resolves to their fates. */
  async enqueue(data: readonly unknown[], options?: JobOptions, each?: (JobOptions | null)[]): Promise<Fate[]> {
    const first = this.#sequence + 1
    this.#sequence += data.length
    const more = { ...(options && { options }), ...(each && { each }) }
    return this.enqueueAs({ publisher: `publisher_${this.name}`, after: first - 1, first, ...more }, data)
  }

  async enqueueAs(params: Omit<EnqueueParams, 'queue'>, data: readonly unknown[]): Promise<Fate[]> {
    const id = ++this.#lastId
    const bodies = data.map((one) => JSON.stringify(one))
    this.write(encodeEnqueue(id, { queue: QUEUE, ...params }, bodies))
    const { result, error } = await this.answer(id)
    if (error) throw Object.assign(new Error(error.message), error.data)
    return (result as EnqueueResult).fates
  }

  work(capacity: number, more: { leaseMs?: number; holding?: Lease[]; worker?: string } = {}): Promise<WorkResult> {
    return this.ask('work', { worker: `worker_${this.name}`, capacity, leaseMs: 60_000, ...more })
  }

  claim(count: number, more: { leaseMs?: number; worker?: string; wait?: boolean } = {}): Promise<ClaimResult> {
    return this.ask('claim', { worker: `puller_${this.name}`, count, leaseMs: 60_000, ...more })
  }

  settle(params: Omit<SettleParams, 'queue'>): Promise<{ stale: Lease[] }> {
    return this.ask('settle', params)
  }

  /** Jobs that are done, with their results. */
  finish(leases: readonly Lease[], results: readonly unknown[]): Promise<{ stale: Lease[] }> {
    return this.settle({ done: leases.map((lease, i) => ({ lease, result: JSON.stringify(results[i]) })) })
  }

  async watch(...ids: number[]): Promise<readonly WatchedJob[]> {
    return (await this.ask<WatchResult>('watch', { ids })).jobs
  }

  /** What it was told of jobs that it watches. */
  get told(): readonly unknown[] {
    return this.frames.flatMap(({ method, params }) => {
      const { queue: _, ...facts } = (params ?? {}) as { queue?: string }
      return method === 'ended' || method === 'reported' || method === 'forgot' ? [{ method, ...facts }] : []
    })
  }

  counts(): Promise<CountsResult> {
    return this.ask('counts', {})
  }

  list(state: 'ready' | 'scheduled' | 'retrying' | 'dead' | 'completed', more: object = {}): Promise<ListResult> {
    return this.ask('list', { state, limit: 100, ...more })
  }

  /** Resolves to the jobs once it was given so many in all. */
  async gets(count: number): Promise<Taken[]> {
    await this.until(() => this.taken.length >= count)
    return this.taken
  }

  get ids(): number[] {
    return this.taken.map(({ id }) => id)
  }

  until(holds: () => boolean): Promise<void> {
    if (holds()) return Promise.resolve()
    return new Promise((resolve) => {
      const watcher = (): void => {
        if (!holds()) return
        this.#watchers.delete(watcher)
        resolve()
      }
      this.#watchers.add(watcher)
    })
  }
}
