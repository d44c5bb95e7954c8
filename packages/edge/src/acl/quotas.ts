import type { Ask, Caller } from './ask.ts'

/** How many connections and queues a user of the `cpp` dialect may hold. `undefined` where no line is about the kind. */
export interface Quotas {
  readonly connections?: ReadonlyMap<string, number>
  readonly queues?: ReadonlyMap<string, number>
}

export const EVERYBODY = 'all'

/**
 * Does this ask go over a quota? The user's own number counts, else that of everybody, else none is allowed: a list that names some
 * leaves the others out.
 */
export function overQuota(quotas: Quotas | undefined, { user }: Caller, { action, object, usage }: Ask): boolean {
  if (!quotas || action !== 'create') return false
  const kind = object === 'connection' ? 'connections' : object === 'queue' ? 'queues' : undefined
  const numbers = kind && quotas[kind]
  if (!kind || !numbers) return false
  const most = (user === undefined ? undefined : numbers.get(user)) ?? numbers.get(EVERYBODY) ?? 0
  return !((usage[kind] ?? 0) < most)
}
