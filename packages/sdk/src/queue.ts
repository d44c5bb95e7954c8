export type { EnqueueHooks, WorkHooks } from './client/hooks.ts'
export {
  type BackoffOptions,
  type BulkFilter,
  createQueue,
  type DedupeOptions,
  type EnqueuedJob,
  type EnqueueOptions,
  type Enqueuing,
  type JobCounts,
  type JobHandle,
  type JobPage,
  type JobPlace,
  type JobSearch,
  type JobState,
  type JobView,
  type ManyOptions,
  type PageOptions,
  type Queue,
  type QueueLimits,
  type QueueOptions,
  queueNames,
  type WorkerView,
  work,
} from './client/queue.ts'
export type { Schedule, ScheduleOptions, Schedules, TickOptions } from './client/schedules.ts'
export { stopOnSignals } from './client/stop-on-signals.ts'
export type { Job, JobReport, Worker, WorkOptions } from './client/worker.ts'
