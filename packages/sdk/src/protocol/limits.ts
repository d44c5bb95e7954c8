import { CLIENT_LIMITS } from './client-limits.ts'
import { JOB_LIMITS } from './job-limits.ts'
import { QUEUE_LIMITS } from './queue-limits.ts'

export { ANNOUNCED_LIMITS, type AnnouncedLimits } from './client-limits.ts'

/**
 * Every bound in the system, with its unit in its name. What goes over one gets a typed error that names it (promise G10).
 * Nobody raises one without a new protocol version.
 */
export const LIMITS = {
  ...CLIENT_LIMITS,
  ...QUEUE_LIMITS,
  ...JOB_LIMITS,

  /** One frame either way. The runtime takes 32 MiB; four such senders at once would fill an object's 128 MB. */
  frameBytes: 1024 * 1024,
  publisherChars: 64,

  /** What a subscriber may have received without having handled it. The broker overdraws by one frame at most. */
  creditBytes: 1024 * 1024,
  /** One page read from a store for a subscriber that is behind, or for history. Leaves room for the frame around it. */
  pageBytes: 768 * 1024,
  /** History that one link may ask for at once, and per second after that: nobody gives credit for pages. */
  historyBytes: 8 * 1024 * 1024,
  historyBytesPerSecond: 1024 * 1024,
  /** What the subscriptions that one link gave up had been sent without giving credit back, and per second after that. */
  abandonedBytes: 8 * 1024 * 1024,
  abandonedBytesPerSecond: 1024 * 1024,
  subscriptionsPerLink: 64,
  /** History pages of one link that wait for a slow store; above it `busy`. */
  readsPerLink: 32,
  /** Frames of one link that could not be understood; then it is closed. */
  faultsPerLink: 100,

  /** Newest messages of one publisher whose offsets are remembered; also what one publisher may have unacked. */
  publisherWindow: 2_048,
  publishersPerTopic: 10_000,
  spansPerTopic: 65_536,
  /** A publisher that was silent for this long may be forgotten (never before its messages are). */
  publisherIdleMs: 30 * 24 * 3_600_000,

  /** Accepted and not yet durable, per topic; above it `busy`. */
  undurableBytes: 8 * 1024 * 1024,
  /** The last row is extended in place while it is this small and this young, so that trimming deletes few rows. */
  tailBytes: 4 * 1024,
  tailMs: 60_000,
  /** Rows written between two checkpoints; what waking reads is bounded by it. */
  checkpointChunks: 512,
  /** The same in bytes of what waking reads of those rows: publishers and keys, without payloads. */
  checkpointBytes: 8 * 1024 * 1024,
  checkpointBuckets: 16,
  /** Entries of the index by which retention cuts. */
  segmentsPerTopic: 1_024,
  /** Rows that may be trimmed before a trim is worth its checkpoint. */
  trimSegments: 64,
  sweepMs: 3_600_000,

  linksPerTopic: 32_768,

  /** Users of a topic whose rate of publishing is known; beyond it, who has been silent for longest is forgotten. */
  ratesPerTopic: 16_384,
  /** Those of them that a sleep or a restart does not forget: they are written with every commit that changes one. */
  keptRates: 256,

  /** Jobs of one lane that a queue keeps at hand, in number and in bytes; the rest waits in the store. */
  laneJobs: 1_000,
  laneBytes: 1024 * 1024,
  workersPerLink: 16,
  /** What one worker may hold at a time. */
  workerJobs: 1_000,
  /** Payloads of those jobs: they are in memory, also when a home wakes. Above it nothing is pushed. */
  heldBytes: 16 * 1024 * 1024,
  /** A worker that lost its connection keeps its jobs for so long. */
  workerGraceMs: 10_000,
  /** The name of the machine that a worker runs on, as its client cuts it. */
  workerHostChars: 64,
  /** Workers that are gone and hold nothing, and are still shown. */
  goneWorkers: 1_000,
  /** Leases of one job that may end without a word; with the next one it is taken for poison. */
  jobLosses: 3,
  /** A claim over HTTP waits so long for a job. */
  claimWaitMs: 20_000,
  /** Groups of which a queue knows that they have to wait, or what is held of them; behind more of them everything waits. */
  groups: 60_000,
  /** Jobs of waiting groups whose places are known, in all; and of each group in any case. Others are looked for when it is their turn. */
  groupPlaces: 100_000,
  groupJobs: 8,
  /** What jobs are searched for. */
  filterChars: 256,
  /** Jobs of one lane that are counted as due; those behind them count as not due yet. */
  countedJobs: 10_000,
  /** Names of queues in one answer. */
  queuesPerPage: 1_000,
  /** Queues with rules of their own, each of which has to be asked, that are looked at for one answer. */
  ownRulesPerPage: 50,
  /** A link on which nobody has asked for names for so long is closed by a server. */
  namesIdleMs: 30_000,
  /** Since it was enqueued first, a job whose time is moved by repeats waits no longer, unless its `maxDelayMs` says otherwise. */
  debounceMs: 24 * 3_600_000,
  /** The longest time for which a job that is done is kept with its result. */
  retainMs: 7 * 24 * 3_600_000,
  /** Dead jobs are kept for so long, and so many of them. */
  deadMs: 30 * 24 * 3_600_000,
  deadJobs: 10_000,
  /** Rows that are swept in one piece. */
  sweepJobs: 500,
  nonRetryableErrors: 32,
  errorNameChars: 64,
  /** Reports of one link at once, and per second after that. */
  reportBytes: 512 * 1024,
  reportBytesPerSecond: 128 * 1024,
  /** Jobs that one link waits to hear of, and that a link is remembered by while its home sleeps. */
  watchesPerLink: 1_000,
  keptWatches: 64,
  /** Jobs that are over and whose outcome is still known in memory, and what their results and errors take there; the older half goes as a whole. */
  recentJobs: 10_000,
  recentBytes: 1024 * 1024,
  /** Publishers whose marks ride on another row; with more they are written by themselves. */
  carriedMarks: 32,
  /** Jobs that can be added before the marks of their publishers are written; what waking reads is bounded by it. */
  carriedJobs: 1_000,

  /** Schedules of a queue: all of them are in memory while it is, and are read when it wakes. */
  schedulesPerQueue: 500,
  scheduleIdChars: 128,
  scheduleDescriptionChars: 500,
  /** Payload of a schedule's jobs as JSON text in UTF-8; it is written again with every tick. */
  scheduleBytes: 16 * 1024,
  cronChars: 256,
  timeZoneChars: 64,
  /** The shortest period of a schedule. */
  everyMs: 100,
  /** Ticks that one schedule catches up on after the home could not work; the oldest are left out. */
  catchUpTicks: 1_000,
  /** Jobs that ticks add in one commit; what is left comes with the next. */
  ticksPerCommit: 100,
  /** A home whose memory goes in between is woken for what is left after so long. */
  tickRetryMs: 1_000,
  /** A tick that comes so late counts as missed: an alarm may be late by a minute. */
  tickLateMs: 60_000,
  /** Newest requests to run a schedule by hand that are recognised when they come again. */
  scheduleRuns: 8,
} as const
