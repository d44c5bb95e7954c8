import type { Retention } from '../../packages/sdk/src/broker/retention.ts'
import { LIMITS } from '../../packages/sdk/src/protocol/limits.ts'
import type { Random } from './random.ts'
import type { RightsSwarm } from './rights.ts'

const DAY_MS = 24 * 3_600_000

/** What happens again and again in a history, each on its own: mean times between two, in ms. What is left out never happens. */
export interface Happenings {
  crash: number
  hibernate: number
  clockJump: number
  loseLog: number
  cut: number
  halfOpen: number
  stall: number
  clientCrash: number
  sleep: number
  hint: number
  resubscribe: number
  history: number
}

/**
 * What one seed is like: which faults happen, how often, and how small everything is. Many rates are zero in many seeds, so
 * that each fault is also met without the others; bounds are drawn small, so that their edges are met within thousands of steps.
 */
export interface Swarm {
  readonly clients: number
  readonly subscriptions: number
  readonly publishes: number
  readonly chaosMs: number
  readonly refusedShare: number
  readonly keyedShare: number
  readonly every: Partial<Happenings>
  readonly retention: Retention

  readonly delayMs: number
  readonly duplicateFrames: number
  readonly hangingConnects: number

  /** When the store answers, and when what it was told is durable: see `disk.ts`. */
  readonly store: 'at once' | 'flushed later' | 'all later'
  readonly storeMs: number
  readonly commitFailure: number
  readonly readFailure: number
  readonly loadFailure: number
  readonly storeStall: number

  readonly asyncHandlers: number
  readonly throwingHandlers: number
  /** Handlers that are not done before the chaos is over. */
  readonly stuckHandlers: number
  readonly lateTimerMs: number
  /** How much faster or slower than real time the clocks of clients run, at most. */
  readonly drift: number

  readonly tokens: TokenSwarm | undefined
  /** What users may do changes: it takes tokens to know who they are. */
  readonly rights?: RightsSwarm
  /** One client stays broken in this way when the others heal. */
  readonly broken: Broken | undefined
  readonly limits: Partial<Record<keyof typeof LIMITS, number>>
}

export interface TokenSwarm {
  readonly lifeMs: number
  readonly failing: number
  readonly slow: number
  readonly expired: number
  readonly bad: number
  readonly foreign: number
}

const BROKEN = ['never handles', 'cut off', 'asleep', 'locked out'] as const
export type Broken = (typeof BROKEN)[number]

export function drawSwarm(random: Random): Swarm {
  const sometimes = (probability: number, draw: () => number): number => (random.chance(probability) ? draw() : 0)
  const share = (probability: number, most: number): number => sometimes(probability, () => random.next() * most)
  const clients = random.between(1, 4)
  const tokens = random.chance(0.4) ? drawTokens(share, random) : undefined
  const broken = clients > 1 && random.chance(0.2) ? random.pick(BROKEN) : undefined
  return {
    clients,
    subscriptions: random.pick([1, 1, 2, 3]),
    publishes: random.between(20, 120),
    chaosMs: random.between(5_000, 60_000),
    refusedShare: share(0.5, 0.2),
    keyedShare: share(0.3, 1),
    every: drawHappenings(random),
    retention: drawRetention(random),
    delayMs: random.pick([0, 1, 20, 300]),
    duplicateFrames: share(0.25, 0.1),
    hangingConnects: share(0.2, 0.5),
    store: random.pick(['at once', 'flushed later', 'flushed later', 'all later']),
    storeMs: random.pick([0, 1, 10, 200]),
    commitFailure: share(0.3, 0.05),
    readFailure: share(0.15, 0.05),
    loadFailure: share(0.15, 0.5),
    storeStall: share(0.15, 0.02),
    asyncHandlers: share(0.6, 1),
    throwingHandlers: share(0.2, 0.2),
    stuckHandlers: share(0.2, 0.05),
    lateTimerMs: sometimes(0.2, () => random.pick([5, 1_000, 60_000])),
    drift: share(0.3, 0.1),
    tokens: broken === 'locked out' ? { ...(tokens ?? drawTokens(share, random)), lifeMs: 8_000 } : tokens,
    broken,
    limits: {
      creditBytes: random.pick([200, 1_000, 10_000, 1_048_576]),
      pageBytes: random.pick([100, 1_000, 100_000]),
      messagesPerFrame: random.pick([1, 3, 1_000]),
      publisherWindow: random.pick([2, 8, 2_048]),
      publisherIdleMs: random.pick([60_000, 30 * DAY_MS]),
      tailBytes: random.pick([0, 300, 4_096]),
      tailMs: random.pick([100, 60_000]),
      rowBytes: random.pick([200, 2_000, 524_288]),
      checkpointChunks: random.pick([1, 4, 512]),
      trimSegments: random.pick([1, 3, 64]),
      segmentsPerTopic: random.pick([4, 1_024]),
      sweepMs: random.pick([300, 5_000, 3_600_000]),
      undurableBytes: random.pick([300, 8_388_608]),
      historyBytes: random.pick([1_000, 8_388_608]),
      readsPerLink: random.pick([2, 32]),
      outboxMessages: 100_000,
    },
  }
}

function drawHappenings(random: Random): Partial<Happenings> {
  const drawn: Partial<Happenings> = {}
  const rarely = (what: keyof Happenings, probability: number, low: number, high: number): void => {
    if (random.chance(probability)) drawn[what] = random.between(low, high)
  }
  rarely('crash', 0.5, 1_000, 20_000)
  rarely('hibernate', 0.4, 200, 10_000)
  rarely('clockJump', 0.2, 2_000, 20_000)
  rarely('loseLog', 0.1, 5_000, 60_000)
  rarely('cut', 0.5, 500, 10_000)
  rarely('halfOpen', 0.5, 1_000, 15_000)
  rarely('stall', 0.2, 1_000, 20_000)
  rarely('clientCrash', 0.4, 2_000, 20_000)
  rarely('sleep', 0.2, 5_000, 30_000)
  rarely('hint', 0.2, 500, 10_000)
  rarely('resubscribe', 0.3, 1_000, 10_000)
  rarely('history', 0.4, 2_000, 20_000)
  return drawn
}

function drawRetention(random: Random): Retention {
  return random.pick<() => Retention>([
    () => ({}),
    () => ({}),
    () => ({}),
    () => ({ messages: random.between(3, 30) }),
    () => ({ messages: random.between(3, 30) }),
    () => ({ bytes: random.between(500, 5_000) }),
    () => ({ ageMs: random.pick([300, 5_000, 30_000]) }),
  ])()
}

function drawTokens(share: (probability: number, most: number) => number, random: Random): TokenSwarm {
  return {
    lifeMs: random.pick([8_000, 20_000, 120_000]),
    failing: share(0.5, 0.5),
    slow: share(0.3, 0.3),
    expired: share(0.3, 0.5),
    bad: share(0.2, 0.2),
    foreign: share(0.2, 0.2),
  }
}

/** Whoever has rights has a name, and so a token: if nothing else happens to tokens, one that lasts. */
export function withRights(swarm: Swarm, rights: RightsSwarm | undefined): Swarm {
  if (!rights) return swarm
  const tokens = swarm.tokens ?? { lifeMs: 3_600_000, failing: 0, slow: 0, expired: 0, bad: 0, foreign: 0 }
  return { ...swarm, tokens, rights }
}

const original = { ...LIMITS }

/** The bounds are read where they are used, so a run can draw its own. */
export function withLimits<T>(limits: Swarm['limits'], run: () => T): T {
  Object.assign(LIMITS, limits)
  try {
    return run()
  } finally {
    Object.assign(LIMITS, original)
  }
}
