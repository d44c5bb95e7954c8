import { PROTOCOL } from '@messkit/sdk/protocol'
import type { Fate } from '../../packages/sdk/src/protocol/frames/publish.ts'
import type {
  CountsResult,
  JobOptions,
  JobsParams,
  Lease,
  ListResult,
} from '../../packages/sdk/src/protocol/frames/queue.ts'
import { encodeEnqueue, leaseOf, type Taken } from '../support/queue-client.ts'
import { Client, codeOf } from './client.ts'

export { leaseOf, type Taken }

/** The raw end of one link to a queue. */
export class QueueLink {
  readonly client: Client
  readonly #queue: string
  #sequence = 0

  constructor(response: Response, queue: string) {
    this.client = new Client(response, queue)
    this.#queue = queue
  }

  get closed(): Client['closed'] {
    return this.client.closed
  }

  hello(): Promise<unknown> {
    return this.client.ask('hello', { versions: [PROTOCOL.current] })
  }

  /** @returns the result, or the code of the error */
  async ask<R = object>(method: string, params: object = {}): Promise<R | string> {
    const frame = await this.client.ask(method, { queue: this.#queue, ...params })
    return codeOf(frame) ?? (frame.result as R)
  }

  /** @returns their fates, or the code of the error */
  async enqueue(data: readonly unknown[], options: JobOptions = {}, publisher = 'publisher'): Promise<Fate[] | string> {
    const first = this.#sequence + 1
    this.#sequence += data.length
    return this.enqueueAs({ publisher, after: first - 1, first, options }, data)
  }

  async enqueueAs(
    frame: { publisher: string; after: number; first: number; options?: JobOptions },
    data: readonly unknown[],
  ): Promise<Fate[] | string> {
    const bodies = data.map((one) => JSON.stringify(one))
    const answer = await this.client.request((id) => encodeEnqueue(id, { queue: this.#queue, ...frame }, bodies))
    return codeOf(answer) ?? (answer.result as { fates: Fate[] }).fates
  }

  work(capacity: number, { worker = 'worker-1', leaseMs = 60_000 } = {}): Promise<object | string> {
    return this.ask('work', { worker, capacity, leaseMs })
  }

  async settle(what: object): Promise<Lease[] | string> {
    const done = await this.ask<{ stale: Lease[] }>('settle', what)
    return typeof done === 'string' ? done : done.stale
  }

  counts(): Promise<CountsResult | string> {
    return this.ask('counts')
  }

  list(state: string): Promise<ListResult | string> {
    return this.ask('list', { state, limit: 100 })
  }

  /** Every job it was given so far. */
  get taken(): Taken[] {
    return this.client.frames
      .filter(({ method }) => method === 'jobs')
      .flatMap(({ params }) => {
        const { jobs, messages, token, untilMs } = params as JobsParams
        return jobs.map(([id, attempt], i) => ({ id, token, attempt, data: messages[i], untilMs }))
      })
  }

  /** Resolves once it was given so many jobs in all. */
  async gets(count: number): Promise<Taken[]> {
    await this.client.next(() => this.taken.length >= count)
    return this.taken
  }
}
