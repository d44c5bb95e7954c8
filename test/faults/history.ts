import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { Random } from '../sim/random.ts'
import { check } from '../support/checker/check.ts'
import type { FinalLog, HistoryEvent } from '../support/checker/history.ts'
import type { Verdict } from '../support/checker/verdict.ts'
import type { TestServer } from '../support/server.ts'
import type { Played } from './campaign.ts'
import type { ChildClient, Spares } from './child-client.ts'
import { type Client, type Login, pad, pause } from './client.ts'
import { FAULTS, type FaultKind } from './kinds.ts'
import { ADMIN } from './rights.ts'
import { Stage } from './stage.ts'

/** All must have arrived this long after the last fault was mended; it is waited for twice that. */
const REST_MS = 30_000

/** What one seed is like. Few kinds of faults at a time, so that each is also met without the others. */
export interface Plan {
  readonly seed: number
  /** Time passes in it: an object that falls asleep, or a client that has to notice by itself that nothing comes. */
  readonly slow: 'asleep' | 'half open' | undefined
  /** Messages kept; undefined: all. */
  readonly retention: number | undefined
  readonly child: boolean
  readonly kinds: readonly FaultKind[]
  readonly steps: number
  readonly logins: readonly Login[]
  readonly file: boolean
}

export function drawPlan(seed: number): Plan {
  const random = new Random(seed)
  const all = Object.keys(FAULTS) as FaultKind[]
  const slow = random.chance(0.02) ? random.pick(['asleep', 'half open'] as const) : undefined
  const child = random.chance(0.15)
  const kinds = Array.from({ length: random.between(1, 5) }, () => random.pick(all))
  if (kinds.some((kind) => kind.startsWith('right taken'))) kinds.push('rights given back')
  return {
    seed,
    slow,
    retention: random.chance(0.35) ? random.between(3, 40) : undefined,
    child,
    kinds: child ? [...kinds, 'client process killed'] : kinds,
    steps: random.between(3, 9),
    logins: random.chance(0.3) ? ['good', 'short tokens', 'refused tokens', 'down at times'] : ['good'],
    file: random.chance(0.25),
  }
}

/** What the server has to be started with. */
export const varsOf = ({ retention }: Plan): Record<string, string> => ({
  ADMINS: ADMIN,
  RETENTION: JSON.stringify(retention === undefined ? {} : { messages: retention }),
})

/** What the faults must have led to in a campaign. */
export const OUTCOMES = ['gap', 'gap for want of a right', 'duplicate', 'resumed', 'refused'] as const
type Outcome = (typeof OUTCOMES)[number]

/** Plays the history of one seed and judges it. The server runs before and after it. */
export async function playHistory(plan: Plan, server: TestServer, children: Spares<ChildClient>): Promise<Played> {
  const { seed, retention } = plan
  const stage = new Stage(seed, server, varsOf(plan), plan.logins)
  const folder = mkdtempSync(join(tmpdir(), 'messkit-history-'))
  try {
    if (plan.child) await stage.startChild(children.take(), { file: join(folder, 'events'), pad: pad(100) })
    await populate(stage)
    if (plan.slow) await SLOW[plan.slow](stage)
    await chaos(stage, plan)
    const mendedAt = performance.now()
    const rested = await Promise.race([stage.drain(), setTimeout(2 * REST_MS, undefined, { ref: false })])
    const ms = Math.round(performance.now() - mendedAt)
    stage.recorder.push({ e: 'rested', ms, limitMs: REST_MS })
    if (rested === undefined) console.error(`seed ${seed}: at unrest: ${stage.condition}`)
    const { subscriptions } = stage
    const logs = await stage.readings(plan.file)
    await stage.end()
    const history = [...servedLater(stage.recorder.history())]
    const verdict = judge(history, { logs, subscriptions, retention, access: stage.rights.changed })
    return { verdict, history, outcomes: outcomesOf(history), complaints: stage.complaints }
  } finally {
    await stage.end()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** One to four writers and one to three readers, some of them the same client. */
async function populate(stage: Stage): Promise<void> {
  const { random } = stage
  const clients: Client[] = []
  const anyClient = async (): Promise<Client> => {
    const client = await stage.client()
    clients.push(client)
    return client
  }
  for (let writers = random.between(1, 4); writers > 0; writers--) stage.publish((await anyClient()).write())
  for (let readers = random.between(1, 3); readers > 0; readers--) {
    const shared = random.chance(0.3) ? clients.find(({ reader }) => !reader) : undefined
    const client = shared ?? (await anyClient())
    const cursor = clients.find(({ writer }) => writer?.cursor)?.writer?.cursor
    const from = random.pick(['start', 'now', cursor ?? 'start'] as const)
    client.read(`reader ${readers}`, from)
    await pause(random.pick([0, 0, 10]))
  }
  // Faults meet clients that are only just coming, or that are there, also on a slow machine.
  if (random.chance(0.7)) await Promise.all(clients.map(({ reader }) => reader?.ready))
}

async function chaos(stage: Stage, { kinds, steps, child }: Plan): Promise<void> {
  const { random, recorder } = stage
  for (let step = 0; step < steps; step++) {
    await pause(random.between(0, 25))
    for (const { writer } of stage.clients) if (writer) stage.publish(writer)
    const kind = random.pick(kinds)
    if (await FAULTS[kind](stage)) recorder.fault(kind)
    if (random.chance(0.5)) for (const proxy of stage.proxies) proxy.heal()
  }
  if (child && (await FAULTS['client process killed'](stage))) recorder.fault('client process killed')
}

const SLOW = {
  /** Nobody says anything until the object has lost its memory, while all links stay. */
  asleep: async (stage: Stage): Promise<void> => {
    if (process.platform !== 'linux') return
    await stage.drain()
    for (let looks = 0; looks < 300 && !stage.asleep; looks++) await pause(100)
    if (stage.asleep) stage.recorder.fault('object asleep')
  },
  /** Bytes go nowhere in one direction, and nobody is told: a client has to give its link up by itself. */
  'half open': async (stage: Stage): Promise<void> => {
    const { proxy } = stage.random.pick(stage.clients)
    const way = stage.random.pick([proxy.up, proxy.down])
    const { count } = proxy
    way.blackHole = true
    for (let looks = 0; looks < 1_000 && proxy.count === count; looks++) await pause(50)
    way.blackHole = false
    if (proxy.count > count) stage.recorder.fault('half open')
  },
}

/**
 * What was published after a right was gone, and reached a reader who lacked it, was served then, wherever it was on its way: of what was
 * published before, nobody out here can tell.
 */
function* servedLater(history: readonly HistoryEvent[]): Iterable<HistoryEvent> {
  const laterThan = new Map<string, Set<string>>()
  const everRevoked = new Set<string>()
  for (const event of history) {
    if (event.e === 'revoked') {
      everRevoked.add(event.sub)
      laterThan.set(event.sub, laterThan.get(event.sub) ?? new Set())
    } else if (event.e === 'granted') laterThan.delete(event.sub)
    else if (event.e === 'publish') for (const later of laterThan.values()) later.add(event.id)
    else if (event.e === 'deliver' && everRevoked.has(event.sub)) {
      const { sub, id } = event
      if (laterThan.get(sub)?.has(id) ?? true) yield { e: 'served', sub }
    }
    yield event
  }
}

function outcomesOf(history: readonly HistoryEvent[]): Map<Outcome, number> {
  const outcomes = new Map<Outcome, number>()
  const count = (outcome: Outcome): void => void outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
  for (const event of history) {
    if (event.e === 'gap') count(event.reason === 'access' ? 'gap for want of a right' : 'gap')
    else if (event.e === 'refused') count('refused')
    else if (event.e === 'acked' && event.duplicate) count('duplicate')
    else if (event.e === 'start' && event.resumed) count('resumed')
  }
  return outcomes
}

interface Judged {
  readonly logs: readonly [FinalLog, ...FinalLog[]]
  readonly subscriptions: readonly string[]
  readonly retention: number | undefined
  /** Rights were changed. */
  readonly access: boolean
}

function judge(history: readonly HistoryEvent[], { logs, subscriptions, retention, access }: Judged): Verdict {
  const [history1, ...others] = logs
  // What was asked to be kept is kept, so what is missing of that is lost, and not trimmed.
  const kept = retention === undefined ? 0 : Math.max(0, history1.head - retention)
  const log = { ...history1, floor: Math.min(history1.floor, kept) }
  const verdict = check(history, { logs: [log, ...others], subscriptions })
  for (const event of history) {
    // Nobody took the data away, so the log has one life.
    if (event.e === 'gap' && event.reason !== 'retention' && !(access && event.reason === 'access'))
      verdict.violated('gap where nothing is missing', `${event.sub}: ${event.from} to ${event.to}, ${event.reason}`)
    if (event.e === 'acked' && event.epoch !== '' && event.epoch !== log.epoch)
      verdict.violated('acked message lost', `${event.id} was acked in a log of another name`)
  }
  return verdict
}
