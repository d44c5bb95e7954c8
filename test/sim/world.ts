import type { HistoryResult } from '../../packages/sdk/src/protocol/frames/history.ts'
import type { Chunk } from '../../packages/sdk/src/store/store.ts'
import { check } from '../support/checker/check.ts'
import type { FinalLog, HistoryEvent } from '../support/checker/history.ts'
import type { Verdict } from '../support/checker/verdict.ts'
import { Client } from './client.ts'
import { Random } from './random.ts'
import { drawRights, Rights } from './rights.ts'
import { Scheduler } from './scheduler.ts'
import { Server } from './server.ts'
import type { Payload } from './subscription.ts'
import { drawSwarm, type Happenings, type Swarm, withLimits, withRights } from './swarm.ts'
import { Issuer } from './tokens.ts'

/** How often each kind of thing happened; a campaign in which one never did has shown nothing about it. */
export type Counters = Map<string, number>

export interface World {
  readonly clock: Scheduler
  readonly random: Random
  readonly swarm: Swarm
  readonly server: Server
  readonly issuer: Issuer
  /** Who may do what, where that changes. */
  readonly rights: Rights | undefined
  /** Faults still happen. */
  readonly chaos: boolean
  /** Whether a fault happens now, of those that happen with this probability. */
  chance(probability: number): boolean
  record(event: HistoryEvent): void
  /** Something was broken on purpose. */
  fault(kind: string): void
  /** Something happened that a campaign must have met. */
  count(what: string): void
}

export interface Outcome {
  readonly seed: number
  readonly verdict: Verdict
  readonly counters: Counters
  readonly steps: number
  readonly history: readonly HistoryEvent[]
}

/** When the faults stop, life goes on for a while, and then everything must come to rest within this much virtual time. */
const AFTERMATH_MS = 15_000
const REST_LIMIT_MS = 180_000
const LOOK_MS = 100

/** Sees each event as it happens, also in a history that ends with an error. */
type Watch = (event: HistoryEvent, atMs: number) => void

/** One whole history: chaos, healing, draining, judgement. */
export function simulate(seed: number, watch?: Watch): Outcome {
  const random = new Random(seed)
  const swarm = withRights(drawSwarm(random), drawRights(seed))
  return withLimits(swarm.limits, () => new Core(seed, swarm, { random, watch }).run())
}

class Core implements World {
  readonly seed: number
  readonly random: Random
  readonly swarm: Swarm
  readonly clock: Scheduler
  readonly issuer: Issuer
  readonly server: Server
  readonly rights: Rights | undefined
  chaos = true
  readonly #clients: readonly Client[]
  readonly #watch: Watch | undefined
  readonly #startedAt: number
  readonly #history: HistoryEvent[] = []
  readonly #counters: Counters = new Map()

  constructor(seed: number, swarm: Swarm, { random, watch }: { random: Random; watch: Watch | undefined }) {
    this.seed = seed
    this.random = random
    this.#watch = watch
    this.swarm = swarm
    this.clock = new Scheduler(random)
    this.#startedAt = this.clock.now
    this.issuer = new Issuer(this)
    this.server = new Server(this)
    this.server.start()
    const names = Array.from({ length: swarm.clients }, (_, i) => `c${i + 1}`)
    this.rights = swarm.rights && new Rights(this, seed, swarm.rights, names)
    this.#clients = names.map((name) => new Client(this, name))
  }

  chance(probability: number): boolean {
    return this.chaos && probability > 0 && this.random.chance(probability)
  }

  record(event: HistoryEvent): void {
    this.#history.push(event)
    this.#watch?.(event, this.clock.now - this.#startedAt)
  }

  fault(kind: string): void {
    this.record({ e: 'fault', kind })
  }

  count(what: string): void {
    this.#counters.set(what, (this.#counters.get(what) ?? 0) + 1)
  }

  run(): Outcome {
    this.#chaos()
    const { healthy, broken } = this.#heal()
    this.#drain(healthy)
    const verdict = this.#judge(healthy, broken)
    return { seed: this.seed, verdict, counters: this.#counters, steps: this.clock.steps, history: this.#history }
  }

  #chaos(): void {
    const { random, server, clock, swarm } = this
    const some = (): Client => random.pick(this.#clients)
    const happenings: Record<keyof Happenings, () => void> = {
      crash: () => (random.chance(0.5) ? server.crash() : server.crashAtCommit()),
      hibernate: () => server.hibernate(),
      clockJump: () => server.jump(),
      loseLog: () => server.loseLog(),
      cut: () => some().connection?.cut(),
      halfOpen: () => some().connection?.halfOpen(),
      stall: () => some().connection?.stall(),
      clientCrash: () => some().crash(),
      sleep: () => some().sleep(),
      hint: () => some().hint(),
      resubscribe: () => some().resubscribe(),
      history: () => some().read(random.chance(0.5)),
    }
    for (const [what, meanMs] of Object.entries(swarm.every)) this.#every(meanMs, happenings[what as keyof Happenings])
    this.rights?.start()
    this.#publish(swarm.publishes, swarm.chaosMs)
    clock.run(clock.now + swarm.chaosMs)
  }

  #every(meanMs: number, happen: () => void): void {
    this.clock.in(-Math.log(1 - this.random.next()) * meanMs, () => {
      if (!this.chaos) return
      happen()
      this.#every(meanMs, happen)
    })
  }

  #publish(count: number, withinMs: number): void {
    const { random, swarm } = this
    for (let i = 0; i < count; i++) {
      this.clock.in(random.next() * withinMs, () => {
        const client = random.pick(this.#clients)
        for (let burst = random.chance(0.2) ? random.between(2, 12) : 1; burst > 0; burst--)
          client.publish(random.chance(swarm.refusedShare))
      })
    }
  }

  /** No fault happens any more; one client may stay broken, and the others must not care. */
  #heal(): { healthy: readonly Client[]; broken: Client | undefined } {
    const { swarm, clock, server } = this
    this.chaos = false
    server.setClock(0)
    this.rights?.giveAll()
    const [first, ...others] = this.#clients as [Client, ...Client[]]
    const broken = swarm.broken && first
    for (const client of this.#clients) client.heal(client === broken ? swarm.broken : undefined)
    if (swarm.broken) this.fault(`one client ${swarm.broken}`)
    if (swarm.broken === 'locked out') {
      const publisher = first.name
      clock.at(this.issuer.lockOut(publisher) + 1_000, () => this.record({ e: 'denied', publisher }))
    }
    this.#publish(10, AFTERMATH_MS)
    clock.run(clock.now + AFTERMATH_MS)
    // A refusal for good that was on its way when the chaos ended waits for somebody to look again.
    for (const client of this.#clients) client.hint()
    // One that never handles publishes like the others.
    return { healthy: broken?.handles ? others : this.#clients, broken }
  }

  #drain(healthy: readonly Client[]): void {
    const { clock, server } = this
    const since = clock.now
    const atRest = (): boolean => server.up && healthy.every((client) => client.rests(server.epoch, server.disk.head))
    while (!atRest() && clock.now - since < REST_LIMIT_MS) clock.run(clock.now + LOOK_MS)
    const ms = atRest() ? clock.now - since : REST_LIMIT_MS + LOOK_MS
    this.record({ e: 'rested', ms: Math.round(ms), limitMs: REST_LIMIT_MS })
  }

  #judge(healthy: readonly Client[], broken: Client | undefined): Verdict {
    const subscriptions = healthy.flatMap(({ open }) => open)
    // What it still has is not lost.
    for (const id of broken?.waiting ?? []) this.record({ e: 'unknown', id, why: 'crash' })
    const read = this.#read(healthy[0] as Client)
    return check(this.#history, { logs: [this.#kept(read), this.#kept(this.#stored())], subscriptions })
  }

  /** The log as a reader finds it. */
  #read(client: Client): Log {
    const { clock } = this
    let pages: readonly HistoryResult[] | undefined
    client.read(false, (found) => {
      pages = found
    })
    clock.run(clock.now + REST_LIMIT_MS, () => pages !== undefined)
    if (!pages) throw new Error('The log cannot be read')
    return {
      head: pages.at(-1)?.next ?? 0,
      messages: pages.flatMap(({ first, messages }) => messages.map((message, i) => entry(first + i, message))),
    }
  }

  /** The same from the disk, past the machine. */
  #stored(): Log {
    const { disk } = this.server
    const lines = ({ first, body }: Chunk) => body.split(',\n').map((line, i) => entry(first + i, JSON.parse(line)))
    return { head: disk.head, messages: disk.read().flatMap(lines) }
  }

  /** Only what must be kept: the rest may be taken at any moment, also between two readings. */
  #kept({ head, messages }: Log): FinalLog {
    const { epoch } = this.server
    const floor = this.server.floor(epoch)
    return { epoch, floor, head, messages: messages.filter(({ offset }) => offset >= floor) }
  }
}

type Log = Pick<FinalLog, 'head' | 'messages'>

const entry = (offset: number, payload: unknown) => ({ offset, id: (payload as Payload).id })
