import { type Fault, fault } from '../protocol/error-codes.ts'
import type { QueueParams } from '../protocol/frames/queue.ts'
import type { Plan, SCHEDULE_REQUESTS, ScheduleFacts } from '../protocol/frames/schedules.ts'
import { LIMITS } from '../protocol/limits.ts'
import type { QueueRequest } from '../protocol/queue-requests.ts'
import { isScheduleId } from '../protocol/schedule-id.ts'
import { utf8Bytes } from '../protocol/text.ts'
import type { Jobs } from './jobs.ts'
import type { Identity } from './machine.ts'
import { authorize } from './rights.ts'
import { timingFault } from './timetable.ts'

/** What can be asked about the schedules of a queue. */
export type ScheduleCall = Extract<QueueRequest, { readonly method: 'schedule' | keyof typeof SCHEDULE_REQUESTS }>

/** The result, which is true once all that was decided so far is durable, or why there is none. */
export function callSchedules(jobs: Jobs, identity: Identity, call: ScheduleCall, nowMs: number): object | Fault {
  if (call.method === 'schedules') return list(jobs, identity, call.params.after)
  const may = authorize(identity, 'change')
  if ('code' in may) return may
  const { schedules } = jobs
  // What has come until now is decided by what counted until now.
  jobs.tick(nowMs)
  const { params } = call
  if (call.method !== 'schedule' && !schedules.has(params.id))
    return call.method === 'unschedule' ? { removed: false } : fault('unknown_schedule')
  switch (call.method) {
    case 'schedule': {
      const { id, plan, options = {}, data } = call.params
      const wrong = scheduleFault(jobs, call.params, nowMs)
      if (wrong) return wrong
      const nextAt = schedules.upsert(may, id, { plan, options, body: data }, nowMs)
      return nextAt === undefined ? {} : { nextAt }
    }
    case 'unschedule':
      return { removed: schedules.remove(may, params.id) }
    case 'pauseSchedule':
      schedules.pause(may, params.id, call.params.paused, nowMs)
      return {}
    case 'runSchedule': {
      const job = jobs.runSchedule(may, params.id, call.params.run, nowMs)
      return job === undefined ? {} : { job }
    }
  }
}

function list({ schedules }: Jobs, identity: Identity, after: string | undefined): object | Fault {
  const may = authorize(identity, 'view')
  if ('code' in may) return may
  const shown = !('code' in authorize(identity, 'peek'))
  const page: ScheduleFacts[] = []
  let bytes = 0
  for (const facts of schedules.list(may, after, shown)) {
    bytes += JSON.stringify(facts).length
    if (page.length > 0 && bytes > LIMITS.pageBytes) return { schedules: page, next: page.at(-1)?.id }
    page.push(facts)
  }
  return { schedules: page }
}

/** Also where a client of our own asks: whatever cannot be kept would stop the queue. */
function scheduleFault(
  { schedules }: Jobs,
  { id, plan, data }: QueueParams<'schedule'>,
  nowMs: number,
): Fault | undefined {
  if (!isScheduleId(id))
    return fault('bad_schedule', `id: 1 to ${LIMITS.scheduleIdChars} letters, digits and any of _ . : / -`)
  if (!MISSED.includes(plan.missed)) return fault('bad_schedule', `missed: one of ${MISSED.join(', ')}`)
  if (!OVERLAP.includes(plan.overlap)) return fault('bad_schedule', `overlap: one of ${OVERLAP.join(', ')}`)
  if ((plan.description?.length ?? 0) > LIMITS.scheduleDescriptionChars)
    return fault('bad_schedule', `description: at most ${LIMITS.scheduleDescriptionChars} characters`)
  if ((plan.cron?.length ?? 0) > LIMITS.cronChars)
    return fault('bad_schedule', `cron: at most ${LIMITS.cronChars} characters`)
  if (utf8Bytes(data) > LIMITS.scheduleBytes)
    return fault('message_too_large', `a payload of a schedule may have ${LIMITS.scheduleBytes} bytes`)
  if (!schedules.has(id) && schedules.size >= LIMITS.schedulesPerQueue) return fault('too_many_schedules')
  // One that is kept as it is may be over by now: programs say again at each start what they want.
  return schedules.keeps(id, plan) ? undefined : timingFault(plan, nowMs)
}

const MISSED: readonly Plan['missed'][] = ['skip', 'last', 'all']
const OVERLAP: readonly Plan['overlap'][] = ['allow', 'skip', 'queue']
