import type { AddressVars } from './auth/address.ts'
import type { TokenVars } from './auth/token.ts'
import type { DirectoryObject } from './objects/directory-object.ts'
import type { LimiterObject } from './objects/limiter-object.ts'

/** What a deployment binds and sets, see wrangler.toml. An empty text counts as not set. */
export interface Env extends TokenVars, AddressVars {
  readonly TOPICS: DurableObjectNamespace
  readonly QUEUES: DurableObjectNamespace
  readonly DIRECTORY: DurableObjectNamespace<DirectoryObject>
  readonly LIMITER: DurableObjectNamespace<LimiterObject>
  /** Rules that count until an administrator sets a policy. Without either, nobody may do anything. */
  readonly POLICY?: string
  /** Who administers, whatever the policy says: subjects of the deployment's own issuer, or `issuer subject`, one a line. A secret. */
  readonly ADMINS?: string
  /** Origins of pages that may connect, besides the Worker's own: `https://app.example.com,https://…`. */
  readonly ALLOWED_ORIGINS?: string
  /** How much every topic keeps, as JSON: `{ "messages": 100000, "ageMs": 86400000, "bytes": 1000000 }`. */
  readonly RETENTION?: string
}
