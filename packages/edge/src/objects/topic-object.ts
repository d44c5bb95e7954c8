import { type LinkState, readsLess, TopicHome } from '@messkit/sdk/broker'
import { decodeRequest } from '@messkit/sdk/protocol'
import { topicActions } from '../audit/topic-actions.ts'
import type { Env } from '../env.ts'
import { SqliteStore } from '../store/sqlite.ts'
import { resourceNamed } from './object-name.ts'
import { ResourceObject } from './resource-object.ts'
import { readRetention } from './retention.ts'

/** The home of one topic at the edge. */
export class TopicObject extends ResourceObject<LinkState> {
  constructor(ctx: DurableObjectState, env: Env) {
    const resource = resourceNamed('topic', ctx.id.name)
    super({ ctx, env, resource }, (shelter) => {
      const store = new SqliteStore(ctx.storage)
      return {
        home: new TopicHome({
          ...shelter,
          topic: resource.name,
          // The Worker lets nobody in while RETENTION is no good; whoever is here already loses nothing to a typing error.
          retention: readRetention(env.RETENTION) ?? {},
          store,
          decode: decodeRequest,
        }),
        flushed: () => store.flushed(),
        head: () => store.head(),
        stateOf: (identity) => ({ identity, greeted: false, subscriptions: [] }),
        isWorseOff: ({ identity: before, subscriptions }, identity) =>
          subscriptions.length > 0 && readsLess(before, identity),
        actionsOf: topicActions(resource.name),
      }
    })
  }
}
