import type { Env } from '../env.ts'
import type { DirectoryObject } from './directory-object.ts'
import type { LimiterObject } from './limiter-object.ts'
import { DIRECTORY } from './object-name.ts'

/** The directory as others call it. */
type Calls =
  | 'news'
  | 'enrol'
  | 'lookUp'
  | 'hasOwn'
  | 'markOwn'
  | 'queues'
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

export const limiterOf = (env: Env, name: string): Remote<Pick<LimiterObject, 'take' | 'leave'>> =>
  env.LIMITER.getByName(name) as unknown as Remote<Pick<LimiterObject, 'take' | 'leave'>>
