import type { LIMITS } from '../../../packages/sdk/src/protocol/limits.ts'
import type { Random } from '../random.ts'

/** What is different from one history to the next. Most kinds of trouble are left out of most of them, so that each is met by itself, too. */
export interface QueueSwarm {
  readonly enqueuers: number
  readonly workers: number
  readonly jobs: number
  readonly chaosMs: number
  readonly capacity: number
  readonly leaseMs: number
  readonly graceMs: number
  readonly handleMs: number
  readonly store: 'at once' | 'flushed later' | 'all later'
  readonly storeMs: number
  readonly delayMs: number
  /** Whether acks may wait for company. */
  readonly lingers: boolean
  readonly delayedJobs: number
  readonly groups: readonly SimGroup[]
  /** Share of the jobs that are of one. */
  readonly groupedJobs: number
  /** Shares of jobs that have a key, are retained and are watched. */
  readonly keyedJobs: number
  readonly retainedJobs: number
  readonly watchedJobs: number
  readonly commitFailure: number
  /** Mean time between two of a kind, in ms. */
  readonly every: Partial<Record<Happening, number>>
  /** Shares of what handlers do. */
  readonly slow: number
  readonly stubborn: number
  readonly failing: number
  readonly releasing: number
  readonly snoozing: number
  readonly extending: number
  /** Says again what it holds, on the same link. */
  readonly turning: number
  readonly silent: number
  readonly results: number
  readonly keeping: number
  /** Of workers, who ask for jobs and are not pushed to. */
  readonly pulling: number
  readonly lostAlarms: number
  readonly schedules: boolean
  readonly limits: Partial<Record<keyof typeof LIMITS, number>>
}

export interface SimGroup {
  readonly name: string
  readonly most: number
  /** Of all its jobs; without it, each has its own. */
  readonly priority: number | undefined
}

export type Happening =
  | 'crash'
  | 'crashAtCommit'
  | 'hibernate'
  | 'clockJump'
  | 'cut'
  | 'kill'
  | 'freeze'
  | 'pause'
  | 'redrive'
  | 'limit'
  | 'count'
  | 'bulk'
  | 'meddle'

export function drawQueueSwarm(random: Random): QueueSwarm {
  const share = (probability: number, most: number): number => (random.chance(probability) ? random.next() * most : 0)
  const every: Partial<Record<Happening, number>> = {}
  const rarely = (what: Happening, probability: number, low: number, high: number): void => {
    if (random.chance(probability)) every[what] = random.between(low, high)
  }
  rarely('crash', 0.4, 1_000, 15_000)
  rarely('crashAtCommit', 0.5, 500, 10_000)
  rarely('hibernate', 0.4, 200, 10_000)
  rarely('clockJump', 0.25, 2_000, 20_000)
  rarely('cut', 0.5, 500, 10_000)
  rarely('kill', 0.5, 1_000, 15_000)
  rarely('freeze', 0.3, 2_000, 20_000)
  rarely('pause', 0.2, 3_000, 20_000)
  rarely('redrive', 0.3, 2_000, 15_000)
  rarely('limit', 0.2, 2_000, 15_000)
  rarely('bulk', 0.3, 1_000, 8_000)
  rarely('count', 0.5, 500, 5_000)
  rarely('meddle', 0.7, 300, 3_000)
  const graceMs = random.pick([500, 3_000, 10_000])
  const delayMs = random.pick([0, 1, 20, 300])
  const storeMs = random.pick([1, 10, 200])
  const groups = Array.from({ length: random.pick([0, 0, 1, 2, 5, 20]) }, (_, i) => ({
    name: `group ${i}`,
    most: random.pick([1, 1, 1, 2, 3]),
    priority: random.chance(0.8) ? 4 : undefined,
  }))
  const swarm = {
    groups,
    groupedJobs: groups.length === 0 ? 0 : random.pick([0.3, 0.9, 1]),
    enqueuers: random.between(1, 3),
    workers: random.between(1, 4),
    jobs: random.between(5, 60),
    chaosMs: random.between(5_000, 40_000),
    capacity: random.between(1, 6),
    // A lease that is shorter than the way to the home and back is never acked in time, whatever a queue does.
    leaseMs: Math.max(random.pick([300, 2_000, 8_000]), 4 * (delayMs + storeMs)),
    graceMs,
    handleMs: random.pick([0, 20, 400, 2_000]),
    store: random.pick(['at once', 'flushed later', 'flushed later', 'all later']),
    storeMs,
    delayMs,
    delayedJobs: share(0.5, 0.5),
    commitFailure: share(0.25, 0.05),
    every,
    slow: share(0.5, 0.4),
    stubborn: share(0.5, 1),
    failing: share(0.4, 0.4),
    releasing: share(0.3, 0.3),
    snoozing: share(0.3, 0.2),
    extending: share(0.3, 0.5),
    turning: share(0.3, 0.5),
    silent: share(0.3, 0.2),
    pulling: share(0.4, 1),
    lostAlarms: share(0.3, 0.7),
    schedules: random.chance(0.6),
    limits: {
      laneJobs: random.pick([1, 2, 5, 1_000]),
      laneBytes: random.pick([10, 1_048_576]),
      groupJobs: random.pick([1, 2, 8]),
      groupPlaces: random.pick([0, 3, 100_000]),
      groups: random.pick([1, 3, 60_000]),
      carriedJobs: random.pick([1, 5, 1_000]),
      carriedMarks: random.pick([0, 1, 32]),
      leasesPerQueue: random.pick([2, 50_000]),
      jobLosses: random.pick([0, 3, 1_000]),
      workerGraceMs: graceMs,
      ticksPerCommit: random.pick([1, 3, 100]),
      tickLateMs: random.pick([0, 1_000, 60_000]),
      messageBytes: 8,
    },
  } satisfies Omit<QueueSwarm, 'lingers' | Exclude<keyof Features, 'limits'>>
  const features = drawFeatures(random)
  return { ...swarm, ...features, lingers: swarm.delayMs < 20, limits: { ...swarm.limits, ...features.limits } }
}

type Features = Pick<QueueSwarm, 'keyedJobs' | 'retainedJobs' | 'watchedJobs' | 'results' | 'keeping' | 'limits'>

/** What half of the histories do without: there the others are met by themselves. */
function drawFeatures(random: Random): Features {
  const some = !random.chance(0.5)
  const share = (probability: number, most: number): number =>
    some && random.chance(probability) ? random.next() * most : 0
  return {
    keyedJobs: share(0.6, 1),
    retainedJobs: share(0.6, 1),
    watchedJobs: share(0.6, 1),
    results: share(0.6, 1),
    keeping: share(0.4, 0.5),
    limits: {
      sweepMs: random.pick([100, 1_000]),
      sweepJobs: random.pick([1, 500]),
      retainMs: 20_000,
      recentJobs: random.pick([0, 3, 10_000]),
      keptWatches: random.pick([0, 64]),
    },
  }
}
