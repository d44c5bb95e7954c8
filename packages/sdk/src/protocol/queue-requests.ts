import type { QueueMethod, QueueParams } from './frames/queue.ts'
import type { Lines } from './requests.ts'

/** A request to a queue, past the border where its frame was read. */
export type QueueRequest =
  | {
      [M in Exclude<QueueMethod, 'enqueue'>]: {
        readonly method: M
        readonly id: number
        readonly params: QueueParams<M>
      }
    }[Exclude<QueueMethod, 'enqueue'>]
  | EnqueueRequest

export interface EnqueueRequest {
  readonly method: 'enqueue'
  readonly id: number
  readonly params: QueueParams<'enqueue'>
  readonly lines: Lines
  /** How many new ones may be taken: its user may not enqueue as fast. Set by the home. */
  readonly room?: number
}
