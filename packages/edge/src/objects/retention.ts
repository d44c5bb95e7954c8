import type { Retention } from '@messkit/sdk/broker'
import * as v from 'valibot'

const DAY_MS = 24 * 3_600_000

/** What is kept where the deployment says nothing. */
const DEFAULT: Retention = { bytes: 1024 ** 3, ageMs: 30 * DAY_MS }

const Bound = v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(1)))
const Bounds = v.pipe(
  v.unknown(),
  v.check((value) => !Array.isArray(value)),
  v.strictObject({ messages: Bound, ageMs: Bound, bytes: Bound }),
)

/** RETENTION as bounds; `undefined` if it is set and no good. `{}` keeps everything. */
export function readRetention(text: string | undefined): Retention | undefined {
  if (!text) return DEFAULT
  try {
    return v.parse(Bounds, JSON.parse(text)) as Retention
  } catch {
    return undefined
  }
}
