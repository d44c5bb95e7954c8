import type { HistoryEvent } from '../support/checker/history.ts'
import { Verdict } from '../support/checker/verdict.ts'
import { runServer, type TestServer } from '../support/server.ts'
import { ChildClients } from './child-client.ts'
import type { cutEverywhere } from './cuts.ts'
import { drawPlan, type Plan, type Played, playHistory, varsOf } from './history.ts'
import { FAULTS } from './kinds.ts'

/** What must have happened at least once in a campaign, or it has shown nothing about it. */
const KINDS = [
  ...Object.keys(FAULTS),
  'token expired',
  'token refused',
  'login down',
  'half open',
  // Whether an object is out of memory is seen by its files, where the system tells who has which open.
  ...(process.platform === 'linux' ? ['object asleep'] : []),
]
/** What the faults must have led to. */
const OUTCOMES = ['gap', 'gap for want of a right', 'duplicate', 'resumed', 'refused'] as const

/** A campaign of fewer is too small to meet them all. */
const ENOUGH = 200
/** The files of so many topics are kept before a server makes room. */
const HISTORIES_PER_SERVER = 50

export interface Campaign {
  readonly seconds: number
  readonly verdict: Verdict
  readonly outcomes: Readonly<Record<(typeof OUTCOMES)[number], number>>
  /** Each with the command that repeats it. */
  readonly failures: readonly string[]
  readonly never: readonly string[]
}

export const repeat = (seed: number): string => `npm run faults -- --histories 1 --seed ${seed}`

/**
 * Plays the histories of so many seeds. Two go on at a time, each on a server of its own; those in which time has to pass
 * go on beside them.
 */
export async function campaign(
  first: number,
  histories: number,
  tell: (line: string) => void,
  trace: (event: HistoryEvent) => void = () => {},
): Promise<Campaign> {
  const startedAt = performance.now()
  const verdict = new Verdict()
  const outcomes = { gap: 0, 'gap for want of a right': 0, duplicate: 0, resumed: 0, refused: 0 }
  const failures: string[] = []
  const children = new ChildClients()
  const plans = Array.from({ length: histories }, (_, i) => drawPlan(first + i))
  const [quick, slow] = [plans.filter((plan) => !plan.slow), plans.filter((plan) => plan.slow)]

  const judge = (seed: number, { verdict: one, history, complaints }: Played): void => {
    verdict.add(one, `seed ${seed}`)
    for (const event of history) count(outcomes, event)
    history.forEach(trace)
    const wrong = [...one.violations].map(([invariant, { examples }]) => `${invariant}: ${examples[0]}`)
    if (one.invalid > 0) wrong.push('fewer than half of what was published was acked')
    for (const what of [...wrong, ...complaints]) fail(seed, what)
  }
  const fail = (seed: number, what: string): void => {
    const line = `seed ${seed}: ${what}\n  ${repeat(seed)}`
    failures.push(line)
    tell(line)
  }
  const lane = async (queue: Plan[]): Promise<void> => {
    const place = new Place()
    for (let plan = queue.shift(); plan; plan = queue.shift()) {
      if (queue.some(({ child }) => child)) children.prepare()
      try {
        judge(plan.seed, await playHistory(plan, await place.ready(varsOf(plan)), children))
      } catch (error) {
        fail(plan.seed, `could not be played: ${error instanceof Error ? error.stack : error}`)
        await place.end()
      }
      if (verdict.histories % 100 === 0) tell(`${verdict.histories} of ${histories}`)
    }
    await place.end()
  }
  await Promise.all([lane(quick), lane(quick), lane(slow), lane(slow)])
  await children.end()

  const seconds = Math.round((performance.now() - startedAt) / 1000)
  const never = histories < ENOUGH ? [] : KINDS.filter((kind) => !verdict.faults.has(kind))
  if (histories >= ENOUGH) never.push(...OUTCOMES.filter((outcome) => outcomes[outcome] === 0))
  return { seconds, verdict, outcomes, failures, never }
}

/** A server that stays from one history to the next. */
class Place {
  #server: TestServer | undefined
  #vars: Record<string, string> = {}
  #played = 0

  async ready(vars: Record<string, string>): Promise<TestServer> {
    if (this.#played++ % HISTORIES_PER_SERVER === 0) await this.end()
    if (!this.#server) this.#server = await runServer(vars)
    else if (JSON.stringify(vars) !== JSON.stringify(this.#vars)) {
      await this.#server.kill()
      await this.#server.restart(vars)
    }
    this.#vars = vars
    return this.#server
  }

  async end(): Promise<void> {
    await this.#server?.end()
    this.#server = undefined
  }
}

function count(outcomes: Record<(typeof OUTCOMES)[number], number>, event: HistoryEvent): void {
  if (event.e === 'gap') outcomes[event.reason === 'access' ? 'gap for want of a right' : 'gap']++
  else if (event.e === 'refused') outcomes.refused++
  else if (event.e === 'acked' && event.duplicate) outcomes.duplicate++
  else if (event.e === 'start' && event.resumed) outcomes.resumed++
}

export function tellCampaign(
  { seconds, verdict, outcomes, failures, never }: Campaign,
  everywhere?: Awaited<ReturnType<typeof cutEverywhere>>,
): string {
  const { histories, invalid, violationCount, counts, faults, lost } = verdict
  const told = [...faults, ...Object.entries(outcomes)].map(([kind, count]) => `  ${kind}: ${count}`).sort()
  const summary = [
    `${histories} histories in ${seconds} s`,
    `${counts.get('publish') ?? 0} published`,
    `${counts.get('acked') ?? 0} acked`,
    `${counts.get('deliver') ?? 0} delivered`,
    `${lost.prefix + lost.middle + lost.postfix} lost`,
    `${violationCount} violations`,
    `${invalid} invalid`,
    `${failures.length} failures`,
  ]
  if (everywhere) {
    const { cuts, wrong } = everywhere
    summary.push(`cut after each of ${cuts.up} bytes up and ${cuts.down} down: ${wrong.length} wrong`)
  }
  return [...told, ...never.map((kind) => `  never: ${kind}`), summary.join(', ')].join('\n')
}
