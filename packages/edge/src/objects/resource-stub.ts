import type { ErrorCode, Fault } from '@messkit/sdk/protocol'
import type { PolicyDocument } from '../access/document.ts'
import type { Resource } from '../access/resource.ts'
import type { Kick, OwnAccess } from '../access/resource-access.ts'
import type { Visitor } from '../access/visitor.ts'
import type { RecordQuery, RecordRow } from '../audit/records.ts'
import type { Env } from '../env.ts'
import { objectName } from './object-name.ts'

/** What the object of a topic or queue does for others of ours, which have checked who asks. */
interface ResourceRpc {
  /** For the Worker: the upgrade of somebody who may come in. */
  fetch(url: string, init: RequestInit): Promise<Response>
  /** For the Worker: one request of a queue's protocol, see `QueueObject`. */
  call(visitor: Visitor, frame: string, waitMs: number): Promise<string | undefined>
  /** @returns why the rules there do not let them in */
  admits(visitor: Visitor): Promise<ErrorCode | undefined>
  /** For administrators, who may. */
  ownAccess(): Promise<OwnAccess>
  setOwnAccess(document: PolicyDocument, ifVersion: number): Promise<{ version: number } | Fault>
  records(query: RecordQuery): Promise<RecordRow[]>
  /** For the directory. @returns whether there still are links */
  learn(text: string): Promise<boolean>
  /** @returns how many links it ended */
  kick(who: Kick): Promise<number>
  /** For who counts connections. @returns those of the places at which somebody sits */
  seated(places: readonly string[]): Promise<readonly string[]>
}

export function stubOf(env: Env, resource: Resource): ResourceRpc {
  const objects = resource.kind === 'topic' ? env.TOPICS : env.QUEUES
  return objects.getByName(objectName(resource)) as unknown as ResourceRpc
}
