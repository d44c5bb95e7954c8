import { recover } from '../../packages/sdk/src/broker/checkpoint.ts'
import type { Segments } from '../../packages/sdk/src/broker/retention.ts'
import { check } from '../support/checker/check.ts'
import type { FinalLog, HistoryEvent } from '../support/checker/history.ts'
import type { Verdict } from '../support/checker/verdict.ts'
import { Client } from './client.ts'
import { Random } from './random.ts'
import { Scheduler } from './scheduler.ts'
import { Server } from './server.ts'
import { drawSwarm, type Swarm, withLimits } from './swarm.ts'

/** How often each kind of thing happened; a campaign in which one never did has shown nothing about it. */
export type Counters = Map<string, number>

export interface World {
  readonly clock: Scheduler
  readonly random: Random
  readonly swarm: Swarm
  readonly server: Server
  record(event: HistoryEvent): void
  count(what: string): void
}

export interface Outcome {
  readonly seed: number
  readonly verdict: Verdict
  readonly counters: Counters
  readonly steps: number
  /** The same seed gives the same text. */
  readonly history: readonly HistoryEvent[]
}

/** When the faults stop, everything must come to rest within this much virtual time. */
const DRAIN_MS = 600_000

/** One whole history: chaos, healing, draining, judgement. */
export function simulate(seed: number): Outcome {
  const random = new Random(seed)
  const swarm = drawSwarm(random)
  return withLimits(swarm.limits, () => run(seed, random, swarm))
}

function run(seed: number, random: Random, swarm: Swarm): Outcome {
  const clock = new Scheduler(random)
  const history: HistoryEvent[] = []
  const counters: Counters = new Map()
  const world = {
    clock,
    random,
    swarm,
    record: (event: HistoryEvent) => void history.push(event),
    count: (what: string) => void counters.set(what, (counters.get(what) ?? 0) + 1),
  } as World & { server: Server }
  world.server = new Server(world)
  world.server.start()
  const clients = Array.from({ length: swarm.clients }, (_, i) => new Client(world, `c${i + 1}`))

  const chaosUntil = clock.now + swarm.chaosMs
  const every = (meanMs: number | undefined, happen: () => void): void => {
    if (meanMs === undefined) return
    const again = (): void =>
      clock.in(-Math.log(1 - random.next()) * meanMs, () => {
        if (clock.now >= chaosUntil) return
        happen()
        again()
      })
    again()
  }
  every(swarm.crashMs, () => world.server.crash())
  every(swarm.cutMs, () => random.pick(clients).connection?.cut())
  every(swarm.halfOpenMs, () => random.pick(clients).connection?.halfOpen())
  every(swarm.clientCrashMs, () => random.pick(clients).crash())
  for (let i = 0; i < swarm.publishes; i++) {
    clock.in(random.next() * swarm.chaosMs, () => {
      const client = random.pick(clients)
      for (let burst = random.chance(0.2) ? random.between(2, 12) : 1; burst > 0; burst--)
        client.publish(random.chance(swarm.refusedShare))
    })
  }

  clock.run(chaosUntil)
  for (const { connection } of clients) connection?.heal()
  // Nothing fails any more, commits included.
  Object.assign(swarm, { commitFailure: 0 })
  const head = (): number => world.server.read().messages.at(-1)?.offset ?? -1
  const atRest = (): boolean =>
    world.server.up &&
    clients.every(({ idle }) => idle) &&
    clients.every(({ position }) => position !== undefined && position > head())
  // Looking at the whole log is dear, so it is looked at now and then.
  for (let until = clock.now + DRAIN_MS; clock.now < until && !atRest(); ) clock.run(clock.now + 500)

  const { loaded, messages } = world.server.read()
  const { segments, head: end } = recover(
    loaded,
    swarm.retentionMessages === undefined ? {} : { messages: swarm.retentionMessages },
  )
  const final: FinalLog = {
    epoch: loaded.epoch,
    floor: (segments satisfies Segments).floor(clock.now),
    head: end,
    messages: messages.map(({ offset, line }) => ({ offset, id: (JSON.parse(line) as { id: string }).id })),
  }
  const verdict = check(history, { logs: [final], subscriptions: clients.map(({ name }) => name) })
  return { seed, verdict, counters, steps: clock.steps, history }
}
