export {
  type BackoffOptions,
  createQueue,
  type EnqueuedJob,
  type EnqueueOptions,
  type Enqueuing,
  type JobCounts,
  type JobPage,
  type JobPlace,
  type JobView,
  type Queue,
  type QueueLimits,
  type QueueOptions,
} from './client/queue.ts'
export type { Job, Worker, WorkOptions } from './client/worker.ts'
