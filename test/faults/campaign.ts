import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { privateDir } from '../../scripts/project.mjs'
import { Verdict } from '../support/checker/verdict.ts'
import { runServer, type TestServer } from '../support/server.ts'

/** What a campaign needs to know of the seeds that it plays. */
export interface PlanFacts {
  readonly seed: number
  /** Time passes in it. */
  readonly slow: string | undefined
  /** It needs a process of its own. */
  readonly child: boolean
}

/** What histories are about: topics or queues. */
export interface World<P extends PlanFacts> {
  /** Faults that must have happened at least once in a campaign, or it has shown nothing about them. */
  readonly kinds: readonly string[]
  /** What the faults must have led to. */
  readonly outcomes: readonly string[]
  /** Events to tell the number of, by the words for them. */
  readonly told: Readonly<Record<string, string>>
  /** What repeats a campaign needs beside number and seed. */
  readonly flags: string
  drawPlan(seed: number): P
  /** What the server has to be started with. */
  varsOf(plan: P): Record<string, string>
  /** What the process of another server gets. */
  readonly env?: () => Record<string, string>
  /** Begin to bring up a process for a history to come. */
  prepare(): void
  /** Plays the history of one seed and judges it. The server runs before and after it. */
  play(plan: P, server: TestServer): Promise<Played>
  end(): Promise<void>
}

export interface Played {
  readonly verdict: Verdict
  readonly history: readonly object[]
  /** What came of it, by the names of {@link World.outcomes}. */
  readonly outcomes: ReadonlyMap<string, number>
  /** What clients reported that nothing in a history should bring about. */
  readonly complaints: readonly string[]
}

/** A campaign of fewer is too small to meet all kinds. */
const ENOUGH = 200
/** The files of so many topics or queues are kept before a server makes room. */
const HISTORIES_PER_SERVER = 50

export interface Campaign {
  readonly seconds: number
  readonly verdict: Verdict
  readonly outcomes: Readonly<Record<string, number>>
  /** Each with the command that repeats it. */
  readonly failures: readonly string[]
  readonly never: readonly string[]
}

interface Order {
  readonly first: number
  readonly histories: number
  readonly tell: (line: string) => void
  readonly trace?: ((event: object) => void) | undefined
}

/**
 * Plays the histories of so many seeds. Two go on at a time, each on a server of its own; those in which time has to pass
 * go on beside them.
 */
export async function campaign<P extends PlanFacts>(
  world: World<P>,
  { first, histories, tell, trace = () => {} }: Order,
): Promise<Campaign> {
  const startedAt = performance.now()
  const verdict = new Verdict()
  const outcomes = Object.fromEntries(world.outcomes.map((outcome) => [outcome, 0]))
  const failures: string[] = []
  const plans = Array.from({ length: histories }, (_, i) => world.drawPlan(first + i))
  const [quick, slow] = [plans.filter((plan) => !plan.slow), plans.filter((plan) => plan.slow)]

  const judge = (seed: number, { verdict: one, history, outcomes: led, complaints }: Played): void => {
    verdict.add(one, `seed ${seed}`)
    for (const [outcome, count] of led) outcomes[outcome] = (outcomes[outcome] ?? 0) + count
    history.forEach(trace)
    const wrong = [...one.violations].map(([invariant, { examples }]) => `${invariant}: ${examples[0]}`)
    if (one.invalid > 0) wrong.push('fewer than half of what was sent was acked')
    const failed = [...wrong, ...complaints]
    if (failed.length > 0) tell(`seed ${seed}: its history is in ${keep(seed, history)}`)
    for (const what of failed) fail(seed, what)
  }
  const fail = (seed: number, what: string): void => {
    const line = `seed ${seed}: ${what}\n  npm run faults --${world.flags} --histories 1 --seed ${seed}`
    failures.push(line)
    tell(line)
  }
  const lane = async (queue: P[]): Promise<void> => {
    const place = new Place(world.env)
    for (let plan = queue.shift(); plan; plan = queue.shift()) {
      if (queue.some(({ child }) => child)) world.prepare()
      try {
        judge(plan.seed, await world.play(plan, await place.ready(world.varsOf(plan))))
      } catch (error) {
        fail(plan.seed, `could not be played: ${error instanceof Error ? error.stack : error}`)
        await place.end()
      }
      if (verdict.histories % 100 === 0) tell(`${verdict.histories} of ${histories}`)
    }
    await place.end()
  }
  await Promise.all([lane(quick), lane(quick), lane(slow), lane(slow)])
  await world.end()

  const seconds = Math.round((performance.now() - startedAt) / 1000)
  const never = histories < ENOUGH ? [] : world.kinds.filter((kind) => !verdict.faults.has(kind))
  if (histories >= ENOUGH) never.push(...world.outcomes.filter((outcome) => outcomes[outcome] === 0))
  return { seconds, verdict, outcomes, failures, never }
}

/** What happened depends on the machine, too: the same seed may not show it again. @returns where it is */
function keep(seed: number, history: readonly object[]): string {
  const file = join(privateDir, 'histories', `${seed}.jsonl`)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, history.map((event) => `${JSON.stringify(event)}\n`).join(''))
  return file
}

/** A server that stays from one history to the next. */
class Place {
  readonly #env: () => Record<string, string>
  #server: TestServer | undefined
  #vars: Record<string, string> = {}
  #played = 0

  constructor(env: () => Record<string, string> = () => ({})) {
    this.#env = env
  }

  async ready(vars: Record<string, string>): Promise<TestServer> {
    if (this.#played++ % HISTORIES_PER_SERVER === 0) await this.end()
    if (!this.#server) this.#server = await runServer(vars, { env: this.#env() })
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

export function tellCampaign(
  told: Readonly<Record<string, string>>,
  { seconds, verdict, outcomes, failures, never }: Campaign,
): string {
  const { histories, invalid, violationCount, counts, faults, lost } = verdict
  const lines = [...faults, ...Object.entries(outcomes)].map(([kind, count]) => `  ${kind}: ${count}`).sort()
  const summary = [
    `${histories} histories in ${seconds} s`,
    ...Object.entries(told).map(([words, event]) => `${counts.get(event) ?? 0} ${words}`),
    `${lost.prefix + lost.middle + lost.postfix + (verdict.violations.get('job lost')?.count ?? 0)} lost`,
    `${violationCount} violations`,
    `${invalid} invalid`,
    `${failures.length} failures`,
  ]
  return [...lines, ...never.map((kind) => `  never: ${kind}`), summary.join(', ')].join('\n')
}
