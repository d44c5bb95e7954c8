import { LIMITS } from '../../packages/sdk/src/protocol/limits.ts'
import type { Random } from './random.ts'

/**
 * What one seed is like: which faults happen, how often, and how small everything is. Many rates are zero in many seeds, so
 * that each fault is also met without the others; bounds are drawn small, so that their edges are met within thousands of steps.
 */
export interface Swarm {
  readonly clients: number
  readonly publishes: number
  readonly chaosMs: number
  readonly refusedShare: number
  readonly asyncHandlers: number
  readonly retentionMessages: number | undefined
  /** Mean times between faults, in ms; undefined: never. */
  readonly crashMs: number | undefined
  readonly cutMs: number | undefined
  readonly halfOpenMs: number | undefined
  readonly clientCrashMs: number | undefined
  readonly commitFailure: number
  readonly delayMs: number
  readonly commitMs: number
  readonly limits: Partial<Record<keyof typeof LIMITS, number>>
}

export function drawSwarm(random: Random): Swarm {
  const rarely = (probability: number, low: number, high: number) =>
    random.chance(probability) ? random.between(low, high) : undefined
  return {
    clients: random.between(1, 4),
    publishes: random.between(20, 120),
    chaosMs: random.between(5_000, 60_000),
    refusedShare: random.chance(0.5) ? random.next() * 0.2 : 0,
    asyncHandlers: random.chance(0.6) ? random.next() : 0,
    retentionMessages: rarely(0.4, 3, 30),
    crashMs: rarely(0.6, 1_000, 20_000),
    cutMs: rarely(0.6, 500, 10_000),
    halfOpenMs: rarely(0.5, 1_000, 20_000),
    clientCrashMs: rarely(0.5, 2_000, 20_000),
    commitFailure: random.chance(0.3) ? random.next() * 0.05 : 0,
    delayMs: random.pick([0, 1, 20, 300]),
    commitMs: random.pick([0, 1, 10, 200]),
    limits: {
      creditBytes: random.pick([200, 1_000, 10_000, 1_048_576]),
      pageBytes: random.pick([100, 1_000, 100_000]),
      messagesPerFrame: random.pick([1, 3, 1_000]),
      publisherWindow: random.pick([2, 8, 2_048]),
      tailBytes: random.pick([0, 300, 4_096]),
      rowBytes: random.pick([200, 2_000, 524_288]),
      checkpointChunks: random.pick([1, 4, 512]),
      trimSegments: random.pick([1, 3, 64]),
      segmentsPerTopic: random.pick([4, 1_024]),
      undurableBytes: random.pick([300, 8_388_608]),
      outboxMessages: 100_000,
    },
  }
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
