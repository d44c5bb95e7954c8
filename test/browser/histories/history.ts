import { Random } from '../../sim/random.ts'
import { check } from '../../support/checker/check.ts'
import type { FinalLog, HistoryEvent } from '../../support/checker/history.ts'
import type { Verdict } from '../../support/checker/verdict.ts'
import type { Chromium } from './chromium.ts'
import { EXCLUSIVE, FAULTS, type FaultKind } from './kinds.ts'
import type { LifeRecord } from './tab.ts'
import type { Told } from './told.ts'
import { MOST_TABS, pause, type Setting, World } from './world.ts'

/** When nothing is broken any more, all has arrived everywhere after so long. */
const REST_MS = 30_000
/** Where it has not, it is watched for a little longer, so that what hangs differs from what is slow. */
const PATIENCE_MS = 45_000
const LOOK_MS = 25
/** Something that may not happen is waited for so long. */
const PROGRESS_MS = 500
/** So many messages show that all works as before. */
const AFTERWARDS = 30
const BIG_BYTES = 30_000

export interface Plan {
  readonly seed: number
  readonly setting: Setting
  readonly steps: number
  readonly faults: readonly FaultKind[]
  /** In the end a tab that knows nothing has to do it all. */
  readonly alone: boolean
}

export interface Played {
  readonly plan: Plan
  readonly verdict: Verdict
  readonly history: readonly HistoryEvent[]
  /** All that pages told, when, and in which of their lives; where they did not come to rest, also how each stands. */
  readonly told: readonly string[]
  /** What went wrong beside the promises: an error that no page caught. */
  readonly troubles: readonly string[]
  /** `error` events and receipts that failed, by code. */
  readonly codes: readonly string[]
  readonly restedMs: number
}

/** How likely each fault is to be among those of a history; what costs a second is rarer. */
const SHARES: Partial<Record<FaultKind, number>> = {
  'browser killed': 0.12,
  'secret changed': 0.12,
  'database closed by the browser': 0.2,
  'storage lost in a tab': 0.15,
  'database upgraded by another build': 0.2,
}
const SHARE = 0.3

export function drawPlan(seed: number): Plan {
  const random = new Random(seed)
  const local = random.chance(0.3)
  const kinds = Object.keys(FAULTS) as FaultKind[]
  const faults = kinds.filter((kind) => random.chance(SHARES[kind] ?? SHARE))
  return {
    seed,
    setting: {
      local,
      second: !local && random.chance(0.25),
      resuming: random.chance(0.5),
      quota: random.chance(0.15) ? random.between(250_000, 500_000) : undefined,
    },
    steps: random.between(6, 14),
    faults: faults.length > 0 ? faults : [random.pick(kinds)],
    alone: random.chance(0.3),
  }
}

/** Chaos, heal, drain, check. */
export async function playHistory(plan: Plan, browser: Chromium): Promise<Played> {
  const random = new Random(plan.seed ^ 0x5eed)
  const world = await World.make(random, plan.setting, browser)
  try {
    const lasting = await chaos(world, plan)
    await heal(world, lasting)
    const { ending, restedMs } = await drain(world, plan)
    const history = settled(world, ending)
    const verdict = check(history, { logs: ending.logs, subscriptions: ending.subscriptions })
    const codes = world.events.flatMap(({ event }) =>
      event.e === 'trouble' || event.e === 'ended' ? `${event.e} ${event.code}` : [],
    )
    const looks = restedMs > REST_MS ? await Promise.all(world.open.map((tab) => tab.look())) : []
    const told = [...toldBy(world), ...looks.map((look) => JSON.stringify(look))]
    return { plan, verdict, history, told, troubles: world.troubles, codes, restedMs }
  } finally {
    await world.end()
  }
}

const toldBy = ({ events }: World): string[] =>
  events.map(({ atMs, life, event }) => JSON.stringify({ atMs, life: life?.options.name, ...event }))

type Lasting = Map<FaultKind, () => Promise<void>>

async function chaos(world: World, { steps, setting, faults }: Plan): Promise<Lasting> {
  const { random } = world
  const lasting: Lasting = new Map()
  for (let tabs = random.between(1, 3); tabs > 0; tabs--) await world.openTab()
  if (setting.second) await world.openSecondProfile({ again: false })
  if (setting.quota !== undefined) fill(world)
  /** Until this step there is no room, and what is published is refused. */
  const full = setting.quota === undefined ? 0 : steps >> 1
  for (let step = 0; step < steps; step++) {
    for (const tab of [...world.open, ...world.stopped])
      if (random.chance(0.6)) world.publish(tab, random.pick(step < full ? [1] : [1, 1, 5, 40]))
    if (random.chance(0.5)) await pause(random.pick([0, 2, 10, 50]))
    else await world.progress(random.pick([1, 5, 40]), PROGRESS_MS)
    if (random.chance(0.3)) await mend(lasting, random)
    if (random.chance(0.7)) await breakSomething(world, random.pick(faults), lasting)
    if (world.open.length === 0 || (world.tabs.size < MOST_TABS && random.chance(0.25))) await world.openTab()
    if (full > 0 && step === full) await world.browser.setQuota(world.pages.url)
  }
  return lasting
}

async function breakSomething(world: World, kind: FaultKind, lasting: Lasting): Promise<void> {
  const others = EXCLUSIVE.find((kinds) => kinds.includes(kind)) ?? [kind]
  if (others.some((other) => lasting.has(other))) return
  const done = await FAULTS[kind](world)
  if (done === false) return
  world.fault(kind)
  if (done !== true) lasting.set(kind, done)
}

async function mend(lasting: Lasting, random: Random): Promise<void> {
  if (lasting.size === 0) return
  const [kind, end] = random.pick([...lasting])
  lasting.delete(kind)
  await end()
}

/** More than there is room for, in pieces. */
function fill(world: World): void {
  const [tab] = world.open
  if (tab) for (let i = 0; i < 12; i++) world.publish(tab, 1, BIG_BYTES)
}

/** Everything works again. A page that was put away may stay away for ever. */
async function heal(world: World, lasting: Lasting): Promise<void> {
  if (world.setting.quota !== undefined) await world.browser.setQuota(world.pages.url)
  const first = lasting.get('renderer stopped')
  lasting.delete('renderer stopped')
  await first?.()
  if (world.random.chance(0.3)) lasting.delete('page put away')
  for (const end of lasting.values()) await end()
  for (const tab of world.open) if (!tab.online) await tab.setOnline(true)
  for (const tab of world.away) await world.close(tab)
}

interface Ending {
  readonly logs: [FinalLog, ...FinalLog[]]
  readonly subscriptions: string[]
  /** Ids, as the SDK gave them, of what is set aside. */
  readonly refused: ReadonlySet<string>
}

/** Until nothing waits anywhere and everybody has everything. */
async function drain(world: World, { alone }: Plan): Promise<{ ending: Ending; restedMs: number }> {
  const startedAt = performance.now()
  if (alone) for (const tab of world.open) if (tab.profile.name === 'one') await world.close(tab)
  const fresh = await world.openTab()
  await world.openSecondProfile({ again: true })
  // Most of what is published has to arrive, or nothing is shown; and how much died with its tab was a matter of speed.
  world.publish(fresh, world.unacked)
  for (const tab of world.open) world.publish(tab, AFTERWARDS)
  for (const tab of world.open) {
    await tab.resync()
    await tab.hurry()
  }
  const done = (): boolean => performance.now() - startedAt > PATIENCE_MS
  const ms = () => performance.now() - startedAt

  while (!(await atRest(world)) && !done()) await pause(LOOK_MS)
  // So that there is an end which all have to reach.
  world.publish(fresh, 1)
  while (!(await atRest(world)) && !done()) await pause(LOOK_MS)
  const log = await fresh.log(false)
  const reached = (): boolean => subscriptionsOf(world).every(([, next]) => next === log.head)
  while (!reached() && !done()) await pause(LOOK_MS)
  const restedMs = Math.round(ms())
  world.record({ e: 'rested', ms: restedMs, limitMs: REST_MS })

  const other = await world.random.pick(world.sharing).log(true)
  const states = await Promise.all(world.open.map((tab) => tab.status()))
  const refused = new Set(states.flatMap(({ refused }) => refused))
  const subscriptions = subscriptionsOf(world).map(([sub]) => sub)
  return { ending: { logs: [log, other], subscriptions, refused }, restedMs }
}

/** Nothing that was published waits, in whichever way that can be asked. */
async function atRest(world: World): Promise<boolean> {
  const open = openOnes(world)
  const states = await Promise.all(world.open.map(async (tab) => [tab, await tab.status()] as const))
  // As an application does that has its user sign in again. (A client that is left alone tries by itself, after half a minute.)
  for (const [tab, { connection }] of states) {
    if (connection === 'auth-needed') {
      await world.reload(tab)
      await tab.hurry()
    }
  }
  return open === 0 && states.every(([, { connection, waiting }]) => connection !== 'auth-needed' && waiting === 0)
}

/** How many messages of those who live have no fate yet. */
function openOnes(world: World): number {
  const open = new Set<string>()
  for (const { life, event } of world.events) {
    if (event.e === 'publish' && life?.alive) open.add(event.id)
    else if (event.e === 'acked' || event.e === 'refused') open.delete(event.id)
  }
  return open.size
}

/** Those that should have everything, and what each wants next. */
function subscriptionsOf(world: World): (readonly [sub: string, next: number])[] {
  const next = new Map<string, number>()
  const lives = new Set(world.sharing.map(({ life }) => life))
  for (const { options } of lives) {
    next.set(options.name, 0)
    if (options.resume) next.set(options.resume.sub, 0)
  }
  for (const { life, event } of world.events) {
    if (!life || !lives.has(life) || !('sub' in event)) continue
    if (event.e === 'deliver') next.set(event.sub, event.offset + 1)
    else if (event.e === 'start') next.set(event.sub, event.next)
    // The place may be taken by a page that is still on its way out, or the position be lost with the storage.
    else if (event.e === 'ended') next.delete(event.sub)
  }
  return [...next]
}

/** The history as the checker reads it: with the fates of those whose tabs did not live to tell. */
function settled(world: World, { refused }: Ending): HistoryEvent[] {
  const events = world.events.filter(
    ({ life, event }) => !life || (world.shares(life) && !(life.lostDisk && event.e === 'stored')),
  )
  const of = <E extends Told['e']>(e: E) =>
    events.flatMap(({ event }) => (event.e === e ? [event as Extract<Told, { e: E }>] : []))
  const stored = new Set(of('stored').map(({ id }) => id))
  const inMemory = new Set(of('memory').map(({ id }) => id))
  const names = new Map(of('named').map(({ id, as }) => [id, as]))
  const settled = new Set([...of('acked'), ...of('refused')].map(({ id }) => id))

  /** What was kept in memory is sent apart from what is on the disk, and in an order of its own. */
  const publisherOf = (id: string, { options, lostStorage }: LifeRecord): string => {
    if (stored.has(id) || !lostStorage) return options.name
    return inMemory.has(id) ? `${options.name} in memory` : id
  }

  const history: HistoryEvent[] = []
  const late: HistoryEvent[] = []
  for (const { life, event } of events) {
    if (event.e === 'publish' && life) {
      history.push({ ...event, publisher: publisherOf(event.id, life) })
      if (!settled.has(event.id) && !life.alive) late.push(fateOf(event.id))
    } else if (isOfHistory(event)) history.push(event)
  }
  return [...history, ...late]

  function fateOf(id: string): HistoryEvent {
    if (refused.has(names.get(id) ?? '')) return { e: 'refused', id }
    // What the disk had when its tab died is as good as acked: the log must have it.
    if (stored.has(id)) return { e: 'acked', id, epoch: '', offset: undefined, duplicate: true }
    return { e: 'unknown', id, why: 'crash' }
  }
}

function isOfHistory(event: Told): event is HistoryEvent {
  return !['named', 'memory', 'role', 'ended', 'trouble', 'console'].includes(event.e)
}
