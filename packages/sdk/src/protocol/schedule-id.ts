import { LIMITS } from './limits.ts'

/** Letters, digits, and what addresses are made of. */
export const isScheduleId = (id: unknown): id is string =>
  typeof id === 'string' && id.length <= LIMITS.scheduleIdChars && /^[\w.:/-]+$/.test(id)
