import { decodeQueueRequest, type QueueMethod } from '@messkit/sdk/protocol'
import type { Action } from '../acl/vocabulary.ts'
import type { ActionsOf } from './resource-audit.ts'

/** What each request to a queue needs. Whoever settles works. */
const ACTIONS: Readonly<Record<QueueMethod, readonly Action[]>> = {
  hello: [],
  authenticate: [],
  enqueue: ['enqueue'],
  work: ['work'],
  claim: ['work'],
  settle: ['work'],
  report: ['work'],
  watch: ['enqueue'],
  unwatch: [],
  counts: ['view'],
  workers: ['view'],
  list: ['view', 'peek'],
  redrive: ['change'],
  cancel: ['change'],
  promote: ['change'],
  bulk: ['change'],
  pause: ['change'],
  limit: ['change'],
  schedule: ['change'],
  schedules: ['view', 'peek'],
  unschedule: ['change'],
  pauseSchedule: ['change'],
  runSchedule: ['change'],
}

/** Of frames to a queue. */
export const queueActions =
  (queue: string): ActionsOf =>
  (text) => {
    const request = decodeQueueRequest(text)
    if ('fault' in request || !('queue' in request.params) || request.params.queue !== queue) return []
    const count =
      request.method === 'enqueue'
        ? request.lines.count
        : request.method === 'settle'
          ? Object.values(request.params).reduce<number>((sum, one) => sum + (Array.isArray(one) ? one.length : 0), 0)
          : 1
    return ACTIONS[request.method].map((action) => [action, count] as const)
  }
