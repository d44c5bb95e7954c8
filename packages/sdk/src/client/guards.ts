import { ANNOUNCED_LIMITS } from '../protocol/client-limits.ts'
import { parseCursor } from '../protocol/cursor.ts'
import type { DeliverParams, GapParams } from '../protocol/frames/deliver.ts'
import type { HelloResult } from '../protocol/frames/hello.ts'
import type { HistoryResult } from '../protocol/frames/history.ts'
import type { PublishResult } from '../protocol/frames/publish.ts'
import type { SubscribeResult } from '../protocol/frames/subscribe.ts'

/**
 * Whether a server's frame has the shape that this client relies on. Smaller than the schemas, which would cost more than the
 * whole client; `guards.test.ts` holds the two together.
 */
type Fields = Record<string, unknown>

const fields = (value: unknown): value is Fields => typeof value === 'object' && value !== null
const count = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

export function isHello(value: unknown): value is HelloResult {
  if (!fields(value) || !count(value.version)) return false
  const { limits } = value
  return fields(limits) && ANNOUNCED_LIMITS.every((name) => count(limits[name]))
}

export function isSubscribed(value: unknown): value is SubscribeResult {
  return fields(value) && parseCursor(value.cursor) !== undefined && count(value.head)
}

export function isDeliver(value: unknown): value is DeliverParams {
  return fields(value) && count(value.first) && count(value.through) && isRange(value)
}

export function isGap(value: unknown): value is GapParams {
  return fields(value) && count(value.subscription) && count(value.from) && count(value.to) && count(value.through)
}

export function isHistory(value: unknown): value is HistoryResult {
  return fields(value) && typeof value.epoch === 'string' && isRange(value)
}

export function isPublished(value: unknown): value is PublishResult {
  return fields(value) && typeof value.epoch === 'string' && Array.isArray(value.fates)
}

function isRange({ first, next, runs, messages }: Fields): boolean {
  return (
    count(first) && count(next) && Array.isArray(runs) && Array.isArray(messages) && next - first === messages.length
  )
}
