import type { TokenVars } from './auth/token.ts'

/** What a deployment binds and sets, see wrangler.toml. An empty text counts as not set. */
export interface Env extends TokenVars {
  readonly TOPICS: DurableObjectNamespace
  /** Origins of pages that may connect, besides the Worker's own: `https://app.example.com,https://…`. */
  readonly ALLOWED_ORIGINS?: string
  /** How much every topic keeps, as JSON: `{ "messages": 100000, "ageMs": 86400000, "bytes": 1000000 }`. */
  readonly RETENTION?: string
}
