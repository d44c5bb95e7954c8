import { QueueHome, type QueueLinkState } from '@messkit/sdk/broker'
import { decodeQueueRequest } from '@messkit/sdk/protocol'
import type { Visitor } from '../access/visitor.ts'
import { queueActions } from '../audit/queue-actions.ts'
import type { Env } from '../env.ts'
import { SqliteQueueStore } from '../store/sqlite-queue.ts'
import { resourceNamed } from './object-name.ts'
import { ResourceObject } from './resource-object.ts'

/** The home of one queue at the edge. */
export class QueueObject extends ResourceObject<QueueLinkState> {
  constructor(ctx: DurableObjectState, env: Env) {
    const resource = resourceNamed('queue', ctx.id.name)
    super({ ctx, env, resource }, (shelter) => {
      const store = new SqliteQueueStore(ctx.storage)
      return {
        home: new QueueHome({
          ...shelter,
          queue: resource.name,
          store,
          decode: decodeQueueRequest,
          random: Math.random,
        }),
        flushed: () => store.flushed(),
        head: () => 0,
        stateOf: (identity) => ({ identity, greeted: false, workers: [] }),
        // The queue itself looks at who worked and may not any more.
        isWorseOff: () => false,
        actionsOf: queueActions(resource.name),
      }
    })
  }

  /** For the Worker, whose HTTP clients have no link. */
  call(visitor: Visitor, frame: string, waitMs: number): Promise<string | undefined> {
    return this.converse(visitor, frame, waitMs)
  }
}
