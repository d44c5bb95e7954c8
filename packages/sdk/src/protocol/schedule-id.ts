import { LIMITS } from './limits.ts'

/** Letters, digits, and what addresses are made of. */
export const SCHEDULE_ID = /^[A-Za-z0-9_.:/-]+$/

export const isScheduleId = (id: unknown): id is string =>
  typeof id === 'string' && id.length <= LIMITS.scheduleIdChars && SCHEDULE_ID.test(id)
