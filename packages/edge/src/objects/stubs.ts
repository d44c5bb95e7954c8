import type { ErrorCode, Fault } from '@messkit/sdk/protocol'
import type { PolicyDocument } from '../access/document.ts'
import type { OwnAccess } from '../access/topic-access.ts'
import type { Visitor } from '../access/visitor.ts'
import type { RecordQuery, RecordRow } from '../audit/records.ts'
import type { Env } from '../env.ts'
import type { DirectoryObject } from './directory-object.ts'
import type { LimiterObject } from './limiter-object.ts'
import { DIRECTORY, topicObjectName } from './object-name.ts'

/** The directory as others call it. */
type Calls =
  | 'news'
  | 'enrol'
  | 'lookUp'
  | 'hasOwn'
  | 'markOwn'
  | 'change'
  | 'revoke'
  | 'kick'
  | 'record'
  | 'records'
  | 'count'
  | 'denials'

type Remote<T> = {
  [K in keyof T]: T[K] extends (...args: infer A) => infer R ? (...args: A) => Promise<Awaited<R>> : never
}

export const directoryOf = (env: Env): Remote<Pick<DirectoryObject, Calls>> =>
  env.DIRECTORY.getByName(DIRECTORY) as unknown as Remote<Pick<DirectoryObject, Calls>>

/** What a topic's object does for the Worker, which has checked who asks: for whoever comes, and for administrators, who may. */
interface TopicRpc {
  admits(visitor: Visitor): Promise<ErrorCode | undefined>
  ownAccess(): Promise<OwnAccess>
  setOwnAccess(document: PolicyDocument, ifVersion: number): Promise<{ version: number } | Fault>
  records(query: RecordQuery): Promise<RecordRow[]>
}

export const topicOf = (env: Env, topic: string): TopicRpc =>
  env.TOPICS.getByName(topicObjectName(topic)) as unknown as TopicRpc

export const limiterOf = (env: Env, name: string): Remote<Pick<LimiterObject, 'take' | 'leave'>> =>
  env.LIMITER.getByName(name) as unknown as Remote<Pick<LimiterObject, 'take' | 'leave'>>
