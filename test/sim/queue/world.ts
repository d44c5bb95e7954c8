import { LANES } from '../../../packages/sdk/src/broker/job.ts'
import { check } from '../../support/checker/check.ts'
import type { HistoryEvent } from '../../support/checker/history.ts'
import { Random } from '../random.ts'
import { Scheduler } from '../scheduler.ts'
import { withLimits } from '../swarm.ts'
import type { Counters, Outcome } from '../world.ts'
import { Enqueuer, SimWorker } from './actors.ts'
import { Manager } from './manager.ts'
import { QueueServer } from './server.ts'
import { drawQueueSwarm, type Happening, type QueueSwarm } from './swarm.ts'
import { nameOfRow, Ticks } from './ticks.ts'

/** What a campaign must have met, or it has shown nothing. */
export const QUEUE_KINDS = [
  'server crash',
  'hibernated',
  'clock jump',
  'alarm lost',
  'commit failed',
  'commit failed and was written',
  'flush failed',
  'cut',
  'worker killed',
  'worker frozen',
  'handler never ends',
  'handler slower than its lease',
  'repeat',
  'pulled',
  'stale done',
  'stale back',
  'accepted done',
  'accepted back',
  'told that a lease was lost',
  'said again what it holds',
  'paused',
  'limited',
  'redriven',
  'dead',
  'counted',
  'done to many',
  'grouped',
  'strictly grouped',
  'tick',
  'run by hand',
  'not run beside another one',
  'redundant',
  'updated',
  'retained',
  'kept state',
  'told waiting',
  'told completed',
  'told dead',
  'told unknown',
]

export interface QueueWorld {
  readonly clock: Scheduler
  readonly random: Random
  readonly swarm: QueueSwarm
  readonly server: QueueServer
  /** Where there are schedules. */
  readonly ticks: Ticks | undefined
  /** A failure of ours, which is no history. */
  broken: unknown
  chance(probability: number): boolean
  record(event: HistoryEvent): void
  fault(kind: string): void
  count(what: string): void
  /** Whether the machine crashes with the commit at hand. */
  crashing(): boolean
  crash(): void
}

const REST_LIMIT_MS = 400_000
const LOOK_MS = 200
const WATCHDOG_MS = 5_000

type Watch = (event: HistoryEvent, atMs: number) => void

/** One whole history of a queue: chaos, healing, draining, judgement. */
export function simulateQueue(seed: number, watch?: Watch): Outcome {
  const random = new Random(seed)
  const swarm = drawQueueSwarm(random)
  return withLimits(swarm.limits, () => new Core(seed, swarm, { random, watch }).run())
}

class Core implements QueueWorld {
  readonly seed: number
  readonly random: Random
  readonly swarm: QueueSwarm
  readonly clock: Scheduler
  readonly server: QueueServer
  readonly ticks: Ticks | undefined
  readonly #manager: Manager | undefined
  broken: unknown
  #chaos = true
  #crashAtCommit = false
  #workerCount = 0
  readonly #enqueuers: readonly Enqueuer[]
  #workers: SimWorker[]
  readonly #watch: Watch | undefined
  readonly #startedAt: number
  readonly #history: HistoryEvent[] = []
  readonly #counters: Counters = new Map()

  constructor(seed: number, swarm: QueueSwarm, { random, watch }: { random: Random; watch: Watch | undefined }) {
    this.seed = seed
    this.random = random
    this.swarm = swarm
    this.#watch = watch
    this.clock = new Scheduler(random)
    this.#startedAt = this.clock.now
    this.server = new QueueServer(this)
    this.server.start()
    this.#enqueuers = Array.from({ length: swarm.enqueuers }, (_, i) => new Enqueuer(this, `enqueuer-${i}`))
    this.#workers = Array.from({ length: swarm.workers }, () => this.#hire())
    this.#manager = swarm.schedules ? new Manager(this) : undefined
    this.ticks = this.#manager && new Ticks(this, this.#manager)
  }

  #hire(): SimWorker {
    return new SimWorker(this, `${++this.#workerCount}`, this.random.chance(this.swarm.pulling))
  }

  chance(probability: number): boolean {
    return this.#chaos && probability > 0 && this.random.chance(probability)
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

  crashing(): boolean {
    return this.#crashAtCommit && this.#chaos
  }

  crash(): void {
    this.#crashAtCommit = false
    this.server.crash()
  }

  run(): Outcome {
    const { clock, random, swarm } = this
    for (let i = 1; i <= swarm.jobs; i++)
      clock.in(random.next() * swarm.chaosMs, () => random.pick(this.#enqueuers).add(`job ${i}`))
    for (const [what, meanMs] of Object.entries(swarm.every)) this.#often(what as Happening, meanMs)
    clock.run(clock.now + swarm.chaosMs)
    this.#heal()
    if (this.broken) throw this.broken
    const verdict = this.#judge()
    return { seed: this.seed, verdict, counters: this.#counters, steps: clock.steps, history: this.#history }
  }

  #often(what: Happening, meanMs: number): void {
    this.clock.in(2 * this.random.next() * meanMs, () => {
      if (!this.#chaos) return
      this.#happen(what)
      this.#often(what, meanMs)
    })
  }

  #happen(what: Happening): void {
    const { random, server } = this
    const worker = random.pick(this.#workers)
    switch (what) {
      case 'crash':
        server.crash()
        return
      case 'crashAtCommit':
        this.#crashAtCommit = true
        return
      case 'hibernate':
        server.hibernate()
        return
      case 'clockJump':
        server.jump()
        return
      case 'cut':
        random.pick([...this.#workers, ...this.#enqueuers, ...(this.#manager ? [this.#manager] : [])]).cut()
        return
      case 'meddle':
        this.#manager?.meddle()
        return
      case 'kill':
        worker.kill()
        this.#workers = [...this.#workers.filter((one) => one !== worker), this.#hire()]
        return
      case 'freeze':
        worker.freeze(random.next() * 10_000)
        return
      case 'pause':
        worker.pause(random.chance(0.5))
        return
      case 'limit':
        worker.limit({
          ...(random.chance(0.5) && { concurrency: random.between(1, 3) }),
          ...(random.chance(0.5) && { rate: { count: random.between(1, 5), periodMs: random.pick([500, 5_000]) } }),
        })
        return
      case 'bulk':
        worker.bulk(random.pick(['promote', 'retry', 'redrive']))
        return
      case 'count':
        worker.counts()
        return
      case 'redrive':
        worker.redrive()
    }
  }

  /** Nothing is broken any more; handlers do what they should, and every job must come to its end. */
  #heal(): void {
    const { clock, server } = this
    this.#chaos = false
    const healedAt = clock.now
    server.putClockRight()
    const watch = (): void => {
      server.due()
      // Also what was paused or limited goes on.
      this.#workers[0]?.pause(false)
      this.#workers[0]?.limit({})
      this.#workers[0]?.counts()
      clock.in(WATCHDOG_MS, watch)
    }
    watch()
    const atRest = (): boolean =>
      this.#enqueuers.every(({ idle }) => idle) &&
      server.disk.idle &&
      !server.disk.scheduled &&
      server.disk.waiting === 0
    while (clock.now < healedAt + REST_LIMIT_MS && !atRest()) clock.run(clock.now + LOOK_MS)
    this.ticks?.end()
    this.record({ e: 'rested', ms: clock.now - healedAt, limitMs: REST_LIMIT_MS - 1 })
  }

  #judge(): Outcome['verdict'] {
    const { truth, promises, disk } = this.server
    const rows = disk.rows().filter(({ lane }) => lane !== LANES.keys)
    for (const { lane } of rows) if (lane === LANES.dead) this.count('dead')
    const left = new Set([...rows.map(nameOfRow), ...truth.maybeDone])
    for (const name of promises.replaced(rows, (one) => truth.done.has(one) || left.has(one))) left.add(name)
    promises.looked()
    const log = { epoch: '', floor: 0, head: 0, messages: [] }
    return check(this.#history, { logs: [log], subscriptions: [], jobs: left })
  }
}
