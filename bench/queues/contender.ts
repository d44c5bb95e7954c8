import type { Payload } from '../harness/contender.ts'

/** All that a question may do to a queue, so that both contenders are asked in the same way. */
export interface QueueClient {
  /** Resolves once the job is as durable as this contender makes it. */
  enqueue(data: Payload): PromiseLike<unknown>
  /** The same for many at once. */
  enqueueMany(data: readonly Payload[]): PromiseLike<unknown>
  /**
   * Handlers run from now on, so many at a time.
   * @returns what ends that; it resolves once the end of every job that was handled is as durable as this contender makes it
   */
  work(concurrency: number, handler: (data: Payload) => void): Promise<() => Promise<void>>
  /** @throws if anything went wrong on the way */
  close(): Promise<void>
}

/** A new client of one queue. */
export type ConnectQueue = (queue: string) => Promise<QueueClient>

export interface QueueQuestion {
  readonly name: string
  readonly asks: string
  readonly unit: string
  readonly better: 'more' | 'less'
  /** The ratio to BullMQ that Messkit has to reach. */
  readonly target: number
  /** Jobs a round. */
  readonly jobs: { readonly messkit: number; readonly bullmq: number }
  /** On a fresh queue. @throws {InvalidRound} */
  measure(connect: ConnectQueue, queue: string, jobs: number): Promise<number>
}
