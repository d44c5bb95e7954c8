import type { LIMITS } from '../../../packages/sdk/src/protocol/limits.ts'
import type { Random } from '../random.ts'

/** What one seed is like: which pages there are, what happens to them, and how slow everything is. */
export interface BrowserSwarm {
  /** Topics on a server, between the tabs of each browser, or both. */
  readonly kind: 'server' | 'local' | 'both'
  readonly browsers: number
  readonly tabs: number
  readonly publishes: number
  readonly chaosMs: number
  readonly refusedShare: number
  readonly asyncHandlers: number
  readonly retentionMessages: number | undefined
  /** How long a token lasts. */
  readonly tokenMs: number
  /** The longest that each of these takes. */
  readonly diskMs: number
  readonly strictMs: number
  readonly lockMs: number
  readonly busMs: number
  /** Of the transactions that write, so many fail when they are committed. */
  readonly abortShare: number
  /** A commit may succeed and its page hear the opposite. */
  readonly lostAnswers: boolean
  /** Mean times between faults, in ms; left out: never. */
  readonly every: { readonly [F in Happening]?: number }
  readonly limits: Partial<Record<keyof typeof LIMITS, number>>
}

/** What happens now and then; each to one browser, and most to one of its tabs. */
export const HAPPENINGS = [
  'open',
  'close',
  'crash',
  'leader dies',
  'reload',
  'remount',
  'freeze',
  'put away',
  'hide',
  'browser dies',
  'disk full',
  'disk down',
  'handle dies',
  'version change',
  'offline',
  'cut',
  'half open',
  'server crash',
  'clock jump',
  'tokens refused',
  'tidy up',
] as const
export type Happening = (typeof HAPPENINGS)[number]

const RARE: readonly Happening[] = ['browser dies', 'disk down', 'server crash', 'disk full']

export function drawSwarm(random: Random): BrowserSwarm {
  const chaosMs = random.between(3_000, 40_000)
  const every: { [F in Happening]?: number } = Object.fromEntries(
    HAPPENINGS.flatMap((kind) => {
      const often = RARE.includes(kind) ? 4 : 1
      return random.chance(kind === 'put away' ? 0.8 : 0.45) ? [[kind, often * random.between(800, 15_000)]] : []
    }),
  )
  // A page whose database is lost for good sends by itself what it could not store. Where it was stored after all, it is sent twice;
  // nobody can tell. So answers are lost only where databases come back.
  const lostAnswers = random.chance(0.3)
  if (lostAnswers) {
    delete every['disk down']
    delete every['version change']
    every['handle dies'] = random.between(4_000, 9_000)
  }
  return {
    kind: random.pick(['server', 'local', 'both']),
    browsers: random.pick([1, 1, 2, 3]),
    tabs: random.between(1, 4),
    publishes: random.between(5, 40),
    chaosMs,
    refusedShare: random.chance(0.6) ? random.next() * 0.4 : 0,
    asyncHandlers: random.chance(0.4) ? random.next() * 0.5 : 0,
    retentionMessages: random.chance(0.2) ? random.between(3, 30) : undefined,
    tokenMs: random.pick([5_000, 20_000, 3_600_000]),
    diskMs: random.pick([0.2, 2, 30]),
    strictMs: random.pick([0.5, 10, 100, 400]),
    lockMs: random.pick([0.2, 5]),
    busMs: random.pick([0.2, 5, 200]),
    abortShare: !lostAnswers && random.chance(0.4) ? random.next() * 0.2 : 0,
    lostAnswers,
    every,
    limits: {
      messagesPerFrame: random.pick([1, 3, 1_000]),
      publisherWindow: random.pick([2, 8, 2_048]),
      rowBytes: random.pick([200, 2_000, 524_288]),
      creditBytes: random.pick([300, 10_000, 1_048_576]),
      pageBytes: random.pick([100, 1_000, 100_000]),
      tailBytes: random.pick([0, 300, 4_096]),
      checkpointChunks: random.pick([1, 4, 512]),
      // A write that is tried again is recognised by its ack, too, if need be.
      outboxAcks: lostAnswers ? 256 : random.pick([1, 4, 256]),
    },
  }
}
