import * as v from 'valibot'
import { LIMITS } from '../limits.ts'
import { AuthenticateParams } from './authenticate.ts'
import { HelloParams } from './hello.ts'
import { Fate } from './publish.ts'
import { Count, Positive, PublisherId, TopicName } from './scalars.ts'
import { SCHEDULE_REQUESTS, Scheduled } from './schedules.ts'

/** The frames of queues. Batch-first: one frame carries many jobs, or what became of many. */

const upTo = (most: number) => v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(most))
/** Counted before it is looked into: a frame has room for very many bad ones. */
const many = <S extends v.GenericSchema>(item: S) =>
  v.pipe(v.array(v.unknown()), v.maxLength(LIMITS.messagesPerFrame), v.array(item))

/** How long a job waits after an attempt that failed. Times are in ms; `jitter` is the share of it that chance may take off. */
export const Backoff = v.object({
  type: v.picklist(['fixed', 'exponential']),
  initialMs: upTo(LIMITS.delayMs),
  factor: v.pipe(v.number(), v.minValue(1), v.maxValue(100)),
  maxMs: upTo(LIMITS.delayMs),
  jitter: v.pipe(v.number(), v.minValue(0), v.maxValue(1)),
})

const GroupId = v.pipe(v.string(), v.minLength(1), v.maxLength(LIMITS.groupChars))

/** What can be asked of one job; what is left out is the broker's default. */
export const JobOptions = v.object({
  /** 0 to 9; 9 goes first. */
  priority: v.optional(upTo(9)),
  /** Not before so long from now, or not before this moment (ms since 1970, by the broker's clock). */
  delayMs: v.optional(upTo(LIMITS.delayMs)),
  runAt: v.optional(Count),
  /** In all, the first one included. */
  attempts: v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(LIMITS.jobAttempts))),
  backoff: v.optional(Backoff),
  /** Not begun after so long, it is dead. */
  ttlMs: v.optional(upTo(LIMITS.delayMs)),
  /** When it was asked for, by the clock of the frame's `sentAt`: `delayMs` and `ttlMs` count from then. Left out: from its arrival. */
  askedAt: v.optional(Count),
  /** Jobs of one group are begun in their order, and `concurrency` of them, or one, are held at a time. */
  group: v.optional(
    v.union([GroupId, v.object({ id: GroupId, concurrency: v.pipe(Positive, v.maxValue(LIMITS.leasesPerQueue)) })]),
  ),
})

/**
 * Client → broker: add jobs, recognised like messages by publisher and sequence; without a publisher a repeat is another job. `options` are those of all jobs in the frame, `each`
 * those in which single ones differ. `messages` stands last, one payload per line.
 */
export const EnqueueParams = v.object({
  queue: TopicName,
  publisher: v.optional(PublisherId),
  after: Count,
  first: Positive,
  /** By the sender's clock, in ms since 1970. */
  sentAt: v.optional(Count),
  options: v.optional(JobOptions),
  each: v.optional(many(v.nullable(JobOptions))),
})

/** Client → broker: make a schedule, or change it. Its ticks are the time of its jobs, so there is no other one among the options. */
export const ScheduleParams = v.object({
  queue: TopicName,
  ...Scheduled.entries,
  options: v.optional(v.omit(JobOptions, ['delayMs', 'runAt'])),
})
/** When its next job comes; left out where none will. */
export const ScheduleResult = v.object({ nextAt: v.optional(Count) })

/** As for messages; `offset` is the id of the first job. */
export const EnqueueResult = v.object({
  epoch: v.string(),
  fates: v.array(Fate),
  /** The user may not enqueue as fast: what came back as `unsent` is worth sending again after this long. */
  retryAfterMs: v.optional(Positive),
})

/** A job and the token of the lease under which it is held. */
export const Lease = v.tuple([Positive, Positive])

/**
 * Client → broker: how many jobs this worker wants to hold at a time, and for how long each at most. Absolute, so saying it again does
 * no harm; jobs are pushed while it holds fewer, and 0 ends that. `holding` is what a worker that comes back still works on.
 */
export const WorkParams = v.object({
  queue: TopicName,
  worker: PublisherId,
  capacity: upTo(LIMITS.workerJobs),
  leaseMs: v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(LIMITS.leaseMs)),
  holding: v.optional(many(Lease)),
})
/** `lost`: of those it holds, the ones that are not its any more. */
export const WorkResult = v.object({ epoch: v.string(), lost: v.array(Lease) })

/**
 * Client → broker: up to `count` jobs, now. It is for who has no link that stays: these leases end by a settlement or at their time, and are
 * settled, on any link of the same user, by whoever names this `worker`. With `wait` the answer comes when there is a job.
 */
export const ClaimParams = v.object({
  queue: TopicName,
  worker: PublisherId,
  count: v.pipe(Positive, v.maxValue(LIMITS.workerJobs)),
  leaseMs: v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(LIMITS.leaseMs)),
  wait: v.optional(v.boolean()),
})
/** Which of the jobs have been added by a schedule: its place among them, the schedule, and its tick (ms since 1970). */
export const Ticks = v.array(v.tuple([Count, v.string(), Count]))

/** As in `jobs`; fewer than were asked for does not mean that there are no more. `token` and `untilMs` are left out where there is none. */
export const ClaimResult = v.object({
  token: v.optional(Positive),
  untilMs: v.optional(Count),
  jobs: v.array(v.tuple([Positive, Positive, Count])),
  ticks: v.optional(Ticks),
  messages: v.array(v.unknown()),
})

/**
 * Client → broker: what became of jobs. `ack`: done. `retry`: another attempt after the backoff, or after `delayMs`; with `dead` none.
 * `release`: back as if it had not been taken. `snooze`: the same, not before `ms`. `extend`: `ms` more from now on, or as long again.
 * `worker` is named by who got the jobs from `claim`.
 */
export const SettleParams = v.object({
  queue: TopicName,
  worker: v.optional(PublisherId),
  ack: v.optional(many(Lease)),
  retry: v.optional(
    many(
      v.object({
        lease: Lease,
        error: v.pipe(v.string(), v.maxLength(LIMITS.jobErrorChars)),
        delayMs: v.optional(upTo(LIMITS.delayMs)),
        dead: v.optional(v.boolean()),
      }),
    ),
  ),
  release: v.optional(many(Lease)),
  snooze: v.optional(many(v.object({ lease: Lease, ms: upTo(LIMITS.delayMs) }))),
  extend: v.optional(many(v.object({ lease: Lease, ms: v.optional(upTo(LIMITS.leaseMs)) }))),
})
/** `stale`: leases that had ended; nothing was done for them. */
export const SettleResult = v.object({ stale: v.array(Lease) })

export const CountsParams = v.object({ queue: TopicName })
export const CountsResult = v.object({
  ready: Count,
  scheduled: Count,
  retrying: Count,
  active: Count,
  dead: Count,
  paused: v.boolean(),
})

/** A place in the order of jobs; opaque to clients. */
export const Place = v.tuple([Count, Count, Count])

const SearchText = v.pipe(v.string(), v.minLength(1), v.maxLength(LIMITS.filterChars))

/** Which jobs are meant; what is left out is not asked for. Times are in ms since 1970, from the first one to before the other one. */
export const JobFilter = v.object({
  /** In the payload as it is stored. Asks for the right to look at payloads. */
  text: v.optional(SearchText),
  group: v.optional(GroupId),
  error: v.optional(SearchText),
  enqueuedFrom: v.optional(Count),
  enqueuedTo: v.optional(Count),
})

/**
 * Client → broker: one page of the jobs in a state, in the order in which they come, behind `after`. With a filter a page is what is found
 * in one reading, so it may be empty before the last one.
 */
export const ListParams = v.object({
  queue: TopicName,
  state: v.picklist(['ready', 'scheduled', 'retrying', 'dead', 'active']),
  filter: v.optional(JobFilter),
  after: v.optional(Place),
  limit: v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(LIMITS.messagesPerFrame)),
})
export const JobFacts = v.object({
  id: Positive,
  enqueuedAt: Count,
  /** Not before; 0 for at once. Of a dead one: since when. */
  dueAt: Count,
  attempt: Count,
  losses: Count,
  error: v.optional(v.string()),
  group: v.optional(v.string()),
  /** Of one that is active: who has it, and until when. */
  worker: v.optional(v.string()),
  untilMs: v.optional(Count),
})
/** `messages` has the payloads, or null for each where the user may not see them. `next` is left out on the last page. */
export const ListResult = v.object({
  jobs: v.array(JobFacts),
  next: v.optional(Place),
  messages: v.array(v.unknown()),
})

/** Client → broker: dead jobs, those named or all there are, wait again, with all their attempts. `more`: ask again. */
export const RedriveParams = v.object({ queue: TopicName, ids: v.optional(many(Positive)) })
export const RedriveResult = v.object({ redriven: Count, more: v.boolean() })

/** Client → broker: jobs that are not done are not to be; whoever works on one is told. */
export const CancelParams = v.object({ queue: TopicName, ids: many(Positive) })
export const CancelResult = v.object({ cancelled: Count })

/** Client → broker: jobs that wait for their time, or for another attempt, wait no more. */
export const PromoteParams = v.object({ queue: TopicName, ids: many(Positive) })
export const PromoteResult = v.object({ promoted: Count })

/**
 * Client → broker: one piece of an action on all jobs that a filter means. The first answer has a snapshot, which goes with the following
 * pieces, so that nothing is touched that came later; `next` is `after` of the next piece. Asking for a piece again does no harm.
 * `redrive` takes dead jobs, `promote` those that are scheduled, `retry` those that wait for another attempt, `cancel` those of `state`, or all.
 */
export const BulkParams = v.object({
  queue: TopicName,
  action: v.picklist(['redrive', 'cancel', 'promote', 'retry']),
  state: v.optional(v.picklist(['ready', 'scheduled', 'retrying', 'dead'])),
  filter: v.optional(JobFilter),
  snapshot: v.optional(v.tuple([Count, Count, Count])),
  after: v.optional(Place),
})
/** `count`: how many this piece has changed. */
export const BulkResult = v.object({
  count: Count,
  snapshot: v.tuple([Count, Count, Count]),
  next: v.optional(Place),
})

/** Client → broker: push no job (or go on). Those that are held are finished. */
export const PauseParams = v.object({ queue: TopicName, paused: v.boolean() })
export const PauseResult = v.object({})

/**
 * Client → broker: how many jobs all workers together may hold, and how many may be given out: `count` at once, and as many in each
 * `periodMs` after that. What is left out is not limited.
 */
export const LimitParams = v.object({
  queue: TopicName,
  concurrency: v.optional(v.pipe(Positive, v.maxValue(LIMITS.leasesPerQueue))),
  rate: v.optional(
    v.object({
      count: v.pipe(Positive, v.maxValue(LIMITS.leasesPerQueue)),
      periodMs: v.pipe(Positive, v.maxValue(LIMITS.leaseMs)),
    }),
  ),
})
export const LimitResult = v.object({})

/** Broker → client: jobs that are the worker's until `untilMs`. `jobs` has id, attempt and time of enqueueing; payloads stand last. */
export const JobsParams = v.object({
  queue: TopicName,
  worker: PublisherId,
  token: Positive,
  untilMs: Count,
  jobs: v.array(v.tuple([Positive, Positive, Count])),
  ticks: v.optional(Ticks),
  messages: v.array(v.unknown()),
})

/** Broker → client: leases that have ended, because their time was over or the job was cancelled. */
export const LostParams = v.object({
  queue: TopicName,
  leases: v.array(Lease),
  reason: v.picklist(['deadline', 'cancelled']),
})

/** Every method that a client of a queue may call. All are answered. */
export const QUEUE_REQUESTS = {
  hello: HelloParams,
  authenticate: AuthenticateParams,
  enqueue: EnqueueParams,
  work: WorkParams,
  claim: ClaimParams,
  settle: SettleParams,
  counts: CountsParams,
  list: ListParams,
  redrive: RedriveParams,
  cancel: CancelParams,
  promote: PromoteParams,
  bulk: BulkParams,
  pause: PauseParams,
  limit: LimitParams,
  schedule: ScheduleParams,
  ...SCHEDULE_REQUESTS,
} as const

export type QueueMethod = keyof typeof QUEUE_REQUESTS
export type QueueParams<M extends QueueMethod> = v.InferOutput<(typeof QUEUE_REQUESTS)[M]>
export type Backoff = v.InferOutput<typeof Backoff>
export type JobOptions = v.InferOutput<typeof JobOptions>
export type Lease = v.InferOutput<typeof Lease>
export type EnqueueParams = v.InferOutput<typeof EnqueueParams>
export type ScheduleResult = v.InferOutput<typeof ScheduleResult>
export type SettleParams = v.InferOutput<typeof SettleParams>
export type ClaimResult = v.InferOutput<typeof ClaimResult>
export type WorkResult = v.InferOutput<typeof WorkResult>
export type CountsResult = v.InferOutput<typeof CountsResult>
export type ListResult = v.InferOutput<typeof ListResult>
export type JobFilter = v.InferOutput<typeof JobFilter>
export type BulkParams = v.InferOutput<typeof BulkParams>
export type BulkResult = v.InferOutput<typeof BulkResult>
export type JobFacts = v.InferOutput<typeof JobFacts>
export type JobsParams = v.InferOutput<typeof JobsParams>
export type LostParams = v.InferOutput<typeof LostParams>
