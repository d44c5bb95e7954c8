import type { TokenVars } from './auth/token.ts'
import type { DirectoryObject } from './objects/directory-object.ts'

/** What a deployment binds and sets, see wrangler.toml. An empty text counts as not set. */
export interface Env extends TokenVars {
  readonly TOPICS: DurableObjectNamespace
  readonly DIRECTORY: DurableObjectNamespace<DirectoryObject>
  /** Rules that count until an administrator sets a policy. Without either, nobody may do anything. */
  readonly POLICY?: string
  /** Who administers, whatever the policy says: subjects of the deployment's own issuer, or `issuer subject`, one a line. A secret. */
  readonly ADMINS?: string
  /** The header that the platform or the proxy in front puts a client's address into, and lets nobody else set. */
  readonly ADDRESS_HEADER?: string
  /** Origins of pages that may connect, besides the Worker's own: `https://app.example.com,https://…`. */
  readonly ALLOWED_ORIGINS?: string
  /** How much every topic keeps, as JSON: `{ "messages": 100000, "ageMs": 86400000, "bytes": 1000000 }`. */
  readonly RETENTION?: string
}
