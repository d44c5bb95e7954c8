import * as v from 'valibot'
import { LIMITS } from '../limits.ts'
import { lineFault } from '../payload.ts'
import { AuthenticateParams } from './authenticate.ts'
import { HelloParams } from './hello.ts'
import { Fate } from './publish.ts'
import { Count, Key, Positive, PublisherId, TopicName } from './scalars.ts'
import { SCHEDULE_REQUESTS, Scheduled } from './schedules.ts'
import { About, WorkersParams } from './workers.ts'

/** The frames of queues. Batch-first: one frame carries many jobs, or what became of many. */

const upTo = (most: number) => v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(most))
/** A value as text, which goes from client to client as it is. */
const jsonText = (most: number) =>
  v.pipe(
    v.string(),
    v.maxLength(most),
    v.check((text) => lineFault(text) === undefined, 'bad_payload'),
  )
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

/**
 * What becomes of a job whose key another one has, as long as that one is not over. `drop`: nothing is stored; with `ttlMs` until so long
 * after the first was enqueued, also if it is over. `replace`: the one that waits gets the payload and the options of this one.
 * `debounce`: the same, and its time is that of this one, at most `maxDelayMs` after the first. One that is held is left alone, and
 * this one waits behind it.
 */
export const Dedupe = v.object({
  key: Key,
  mode: v.picklist(['drop', 'replace', 'debounce']),
  ttlMs: v.optional(upTo(LIMITS.delayMs)),
  maxDelayMs: v.optional(upTo(LIMITS.delayMs)),
})

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
  dedupe: v.optional(Dedupe),
  /** Done, it is kept with its result for so long, or somewhat longer. */
  retain: v.optional(v.object({ ms: upTo(LIMITS.retainMs) })),
  /** Names of errors after which no other attempt would help. */
  nonRetryable: v.optional(
    v.pipe(v.array(v.pipe(v.string(), v.maxLength(LIMITS.errorNameChars))), v.maxLength(LIMITS.nonRetryableErrors)),
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
  options: v.optional(v.omit(JobOptions, ['delayMs', 'runAt', 'dedupe'])),
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
  about: v.optional(About),
  /** It wants none for now and goes on; without this 0 is how a worker ends. */
  quiet: v.optional(v.boolean()),
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

/**
 * Id, attempt and time of enqueueing, and what only some jobs have: the state that was kept by an attempt before, as JSON text, and
 * whether it is retained.
 */
export const PushedJob = v.tupleWithRest(
  [Positive, Positive, Count],
  v.object({ state: v.optional(v.string()), retain: v.optional(v.boolean()) }),
)
/** As in `jobs`; fewer than were asked for does not mean that there are no more. `token` and `untilMs` are left out where there is none. */
export const ClaimResult = v.object({
  token: v.optional(Positive),
  untilMs: v.optional(Count),
  jobs: v.array(PushedJob),
  ticks: v.optional(Ticks),
  messages: v.array(v.unknown()),
})

/**
 * Client → broker: what became of jobs. `ack`: done. `done`: the same with a result, JSON text.
 * `keep`: what the next attempt gets as its state, JSON text. `retry`: another attempt after the backoff, or after `delayMs`; with `dead`
 * none. What comes before a `:` in its `error` is the name by which options may rule attempts out.
 * `release`: back as if it had not been taken. `snooze`: the same, not before `ms`. `extend`: `ms` more from now on, or as long again.
 * `worker` is named by who got the jobs from `claim`.
 */
export const SettleParams = v.object({
  queue: TopicName,
  worker: v.optional(PublisherId),
  keep: v.optional(many(v.object({ lease: Lease, state: jsonText(LIMITS.stateChars) }))),
  ack: v.optional(many(Lease)),
  done: v.optional(many(v.object({ lease: Lease, result: jsonText(LIMITS.resultChars) }))),
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

/** Client → broker: what handlers say while they work, for who watches; progress is JSON text. The home keeps the newest of it in memory. */
export const ReportParams = v.object({
  queue: TopicName,
  reports: v.pipe(
    v.array(v.unknown()),
    v.maxLength(LIMITS.reportsPerFrame),
    v.array(
      v.object({
        lease: Lease,
        progress: v.optional(jsonText(LIMITS.progressChars)),
        log: v.optional(
          v.pipe(v.array(v.pipe(v.string(), v.maxLength(LIMITS.logLineChars))), v.maxLength(LIMITS.logLines)),
        ),
      }),
    ),
  ),
})
export const ReportResult = v.object({})

/**
 * Client → broker: what becomes of jobs? Told at once where it is known, else by `ended`, with what is reported until then by `reported`.
 * Of jobs of others only who may see payloads is told. A job that nothing is known of was never there, or is over and was not retained.
 */
export const WatchParams = v.object({
  queue: TopicName,
  ids: v.pipe(v.array(v.unknown()), v.maxLength(LIMITS.watchesPerFrame), v.array(Positive)),
})
/** `result` and `progress` are JSON text. */
export const WatchedJob = v.object({
  id: Positive,
  state: v.picklist(['waiting', 'completed', 'dead', 'cancelled', 'unknown']),
  error: v.optional(v.string()),
  result: v.optional(v.string()),
  progress: v.optional(v.string()),
  log: v.optional(v.array(v.string())),
})
export const WatchResult = v.object({ jobs: v.array(WatchedJob) })
/** Client → broker: no more of these. */
export const UnwatchParams = v.object({ queue: TopicName, ids: many(Positive) })
export const UnwatchResult = v.object({})
/** Broker → client: a job that is watched is over. */
export const EndedParams = v.object({ queue: TopicName, ...WatchedJob.entries })
/** Broker → client: what its handler says meanwhile. */
export const ReportedParams = v.object({
  queue: TopicName,
  id: Positive,
  progress: v.optional(v.string()),
  log: v.optional(v.array(v.string())),
})
/** Broker → client: the home has lost its memory, and may not know any more of all that is watched. Ask again. */
export const ForgotParams = v.object({ queue: TopicName })

export const CountsParams = v.object({ queue: TopicName })
export const CountsResult = v.object({
  ready: Count,
  scheduled: Count,
  retrying: Count,
  active: Count,
  dead: Count,
  completed: Count,
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
  state: v.picklist(['ready', 'scheduled', 'retrying', 'dead', 'active', 'completed']),
  filter: v.optional(JobFilter),
  after: v.optional(Place),
  limit: v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(LIMITS.messagesPerFrame)),
})
export const JobFacts = v.object({
  id: Positive,
  enqueuedAt: Count,
  /** Not before; 0 for at once. Of a dead one: since when. Of one that is completed: when it may be forgotten. */
  dueAt: Count,
  attempt: Count,
  losses: Count,
  error: v.optional(v.string()),
  group: v.optional(v.string()),
  /** Of one that is active: who has it, and until when. */
  worker: v.optional(v.string()),
  untilMs: v.optional(Count),
  result: v.optional(v.string()),
  log: v.optional(v.array(v.string())),
})
/** `messages` has the payloads, or null for each where the user may not see them; then results and logs are left out, too. `next` is left out on the last page. */
export const ListResult = v.object({
  jobs: v.array(JobFacts),
  next: v.optional(Place),
  messages: v.array(v.unknown()),
})

/** How far a queue had come; opaque to clients. */
export const Snapshot = v.tuple([Count, Count, Count])

/**
 * Client → broker: dead jobs, those named or all that are dead now, wait again, with all their attempts. `more`: ask again with `snapshot` and
 * `next` as `after`; jobs that have died since are not meant, or it would never end where all die again.
 */
export const RedriveParams = v.object({
  queue: TopicName,
  ids: v.optional(many(Positive)),
  snapshot: v.optional(Snapshot),
  after: v.optional(Place),
})
export const RedriveResult = v.object({
  redriven: Count,
  more: v.boolean(),
  snapshot: v.optional(Snapshot),
  next: v.optional(Place),
})

/**
 * Client → broker: jobs that are not done are not to be; whoever works on one, or watches it, is told, with the reason. Without the right
 * to change the queue only jobs of one's own are.
 */
export const CancelParams = v.object({
  queue: TopicName,
  ids: many(Positive),
  reason: v.optional(v.pipe(v.string(), v.maxLength(LIMITS.jobErrorChars))),
})
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
  snapshot: v.optional(Snapshot),
  after: v.optional(Place),
})
/** `count`: how many this piece has changed. */
export const BulkResult = v.object({
  count: Count,
  snapshot: Snapshot,
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

/** Broker → client: jobs that are the worker's until `untilMs`. Payloads stand last. */
export const JobsParams = v.object({
  queue: TopicName,
  worker: PublisherId,
  token: Positive,
  untilMs: Count,
  jobs: v.array(PushedJob),
  ticks: v.optional(Ticks),
  messages: v.array(v.unknown()),
})

/** Broker → client: leases that have ended, because their time was over or the job was cancelled. */
export const LostParams = v.object({
  queue: TopicName,
  leases: v.array(Lease),
  reason: v.picklist(['deadline', 'cancelled']),
  message: v.optional(v.string()),
})

/** Every method that a client of a queue may call. All are answered. */
export const QUEUE_REQUESTS = {
  hello: HelloParams,
  authenticate: AuthenticateParams,
  enqueue: EnqueueParams,
  work: WorkParams,
  claim: ClaimParams,
  settle: SettleParams,
  report: ReportParams,
  watch: WatchParams,
  unwatch: UnwatchParams,
  counts: CountsParams,
  workers: WorkersParams,
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
export type EnqueueResult = v.InferOutput<typeof EnqueueResult>
export type JobOptions = v.InferOutput<typeof JobOptions>
export type Lease = v.InferOutput<typeof Lease>
export type EnqueueParams = v.InferOutput<typeof EnqueueParams>
export type ScheduleResult = v.InferOutput<typeof ScheduleResult>
export type SettleParams = v.InferOutput<typeof SettleParams>
export type ClaimResult = v.InferOutput<typeof ClaimResult>
export type WatchedJob = v.InferOutput<typeof WatchedJob>
export type WatchResult = v.InferOutput<typeof WatchResult>
export type EndedParams = v.InferOutput<typeof EndedParams>
export type ReportParams = v.InferOutput<typeof ReportParams>
export type ReportedParams = v.InferOutput<typeof ReportedParams>
export type WorkResult = v.InferOutput<typeof WorkResult>
export type CountsResult = v.InferOutput<typeof CountsResult>
export type ListParams = v.InferOutput<typeof ListParams>
export type ListResult = v.InferOutput<typeof ListResult>
export type JobFilter = v.InferOutput<typeof JobFilter>
export type BulkParams = v.InferOutput<typeof BulkParams>
export type RedriveResult = v.InferOutput<typeof RedriveResult>
export type BulkResult = v.InferOutput<typeof BulkResult>
export type JobFacts = v.InferOutput<typeof JobFacts>
export type JobsParams = v.InferOutput<typeof JobsParams>
export type LostParams = v.InferOutput<typeof LostParams>
