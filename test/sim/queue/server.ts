import type { Port } from '../../../packages/sdk/src/broker/home.ts'
import { LANES } from '../../../packages/sdk/src/broker/job.ts'
import { ALL_RIGHTS } from '../../../packages/sdk/src/broker/machine.ts'
import { QueueHome } from '../../../packages/sdk/src/broker/queue-home.ts'
import type { QueueLinkState } from '../../../packages/sdk/src/broker/queue-machine.ts'
import { type Frame, parseFrame } from '../../../packages/sdk/src/protocol/codec.ts'
import type {
  ClaimResult,
  CountsResult,
  EnqueueResult,
  JobsParams,
  Lease,
  LostParams,
  QueueParams,
  SettleParams,
} from '../../../packages/sdk/src/protocol/frames/queue.ts'
import { decodeQueueRequest } from '../../../packages/sdk/src/protocol/requests.ts'
import { QueueDisk } from './disk.ts'
import { type Asked, Promises } from './promises.ts'
import { nameOf } from './ticks.ts'
import { Truth } from './truth.ts'
import type { QueueWorld } from './world.ts'

export const QUEUE = 'jobs'

/** What keeps things in order that happen at once: less is lost in a number as large as the time. */
const TICK_MS = 0.001

/** The client's end of a link. */
export interface Client {
  heard(frame: Frame): void
  lost(): void
}

const FRESH: QueueLinkState = {
  identity: { key: 'issuer user', user: 'user', rights: ALL_RIGHTS },
  greeted: false,
  workers: [],
}

/** A link with two directions, each in order. It can be cut; each end learns of it sooner or later. */
export class Wire {
  readonly #world: QueueWorld
  readonly #client: Client
  readonly #lastAt = { up: 0, down: 0 }
  open = true
  state = FRESH
  link: number | undefined
  worker: string | undefined
  /** What was asked to be settled, by request. */
  readonly enqueued = new Map<number, Asked>()
  readonly asked = new Map<number, { params: Omit<SettleParams, 'queue'>; at: number }>()
  /** Who asked for jobs, by request. */
  readonly claims = new Map<number, string>()

  constructor(world: QueueWorld, client: Client) {
    this.#world = world
    this.#client = client
    this.#pass('up', () => world.server.accept(this))
  }

  send(text: string): void {
    this.#pass('up', () => this.#world.server.receive(this, text))
  }

  toClient(frame: Frame): void {
    this.#pass('down', () => this.#client.heard(frame))
  }

  /** The client lets go, or both ends are parted: the client knows soon, the server after a while. */
  cut(): void {
    if (!this.open) return
    this.open = false
    const { clock, random } = this.#world
    clock.in(random.next() * 500, () => this.#client.lost())
    clock.in(random.next() * (random.chance(0.3) ? 15_000 : 100), () => this.#world.server.gone(this))
  }

  /** The server is gone, or has closed it. */
  drop(): void {
    if (!this.open) return
    this.open = false
    this.#world.clock.in(this.#world.random.next() * 300, () => this.#client.lost())
  }

  #pass(direction: 'up' | 'down', work: () => void): void {
    const { clock, random, swarm } = this.#world
    const at = Math.max(this.#lastAt[direction], clock.now + random.next() * swarm.delayMs)
    this.#lastAt[direction] = at + TICK_MS
    clock.at(at + TICK_MS, () => {
      if (this.open) work()
    })
  }
}

/** The machine on which the queue lives: it crashes, hibernates, has a clock that jumps and an alarm that may be lost. */
export class QueueServer {
  readonly #world: QueueWorld
  readonly disk: QueueDisk
  readonly truth: Truth
  readonly promises: Promises
  readonly #wires = new Set<Wire>()
  #home: QueueHome | undefined
  #life = 0
  #clockOffset = 0

  constructor(world: QueueWorld) {
    this.#world = world
    this.disk = new QueueDisk(world)
    this.truth = new Truth(world)
    this.promises = new Promises(world)
  }

  get nowMs(): number {
    return this.#world.clock.wall + this.#clockOffset
  }

  start(): void {
    const life = ++this.#life
    const { clock, random } = this.#world
    this.truth.woken()
    this.promises.looked()
    this.#home = new QueueHome({
      queue: QUEUE,
      store: this.disk.mount(),
      decode: decodeQueueRequest,
      now: () => {
        this.truth.tick(this.nowMs)
        this.promises.tick(this.nowMs)
        return this.nowMs
      },
      newEpoch: () => 'unused',
      random: random.next,
      wakeAt: (at) => {
        if (this.#world.chance(this.#world.swarm.lostAlarms)) {
          this.#world.fault('alarm lost')
          return
        }
        clock.in(Math.max(0, at - this.nowMs), () => {
          if (life === this.#life) this.due()
        })
      },
      ...(this.#world.swarm.lingers && {
        linger: (back: () => void) => {
          clock.in(random.next() * 10, () => {
            if (life === this.#life) back()
          })
        },
      }),
      onFailed: (error) => {
        if (!(error instanceof Error) || error.message !== 'simulated') this.#world.broken ??= error
        this.truth.woken()
      },
    })
  }

  due(): void {
    this.#home?.due()
  }

  accept(wire: Wire): void {
    const home = this.#home
    if (!home) {
      wire.drop()
      return
    }
    this.#wires.add(wire)
    this.#attach(home, wire)
  }

  #attach(home: QueueHome, wire: Wire): void {
    const port: Port<QueueLinkState> = {
      send: (text) => this.#send(wire, parseFrame(text) as Frame),
      close: () => {
        this.#forget(wire)
        wire.drop()
      },
      remember: (state) => {
        wire.state = JSON.parse(JSON.stringify(state)) as QueueLinkState
      },
    }
    wire.link = home.attach(port, wire.state)
  }

  receive(wire: Wire, text: string): void {
    if (!this.#wires.has(wire) || !this.#home) return
    const { method, id, params } = parseFrame(text) as Frame
    if (method === 'work') {
      const { worker, holding } = params as QueueParams<'work'>
      wire.worker = worker
      this.truth.holding(worker, holding, wire)
    }
    if (method === 'claim') wire.claims.set(id as number, (params as QueueParams<'claim'>).worker)
    if (method === 'settle') {
      wire.asked.set(id as number, { params: params as SettleParams, at: this.nowMs })
      this.promises.asked(params as SettleParams)
    }
    if (method === 'enqueue') {
      wire.enqueued.set(id as number, params as Asked)
      this.promises.sent(params as Asked)
    }
    this.#home.receive(wire.link as number, text)
  }

  #send(wire: Wire, frame: Frame): void {
    const { id, method, params, result } = frame
    if (method === 'jobs') this.#given((params as JobsParams).worker, params as JobsParams, wire)
    if (method === 'lost' && (params as LostParams).reason === 'deadline')
      this.truth.lost((params as LostParams).leases)
    const puller = typeof id === 'number' ? wire.claims.get(id) : undefined
    if (puller !== undefined && result) {
      wire.claims.delete(id as number)
      this.#given(puller, result as ClaimResult, wire)
    }
    if (result && 'paused' in (result as object)) this.#compare(result as CountsResult)
    const enqueued = typeof id === 'number' ? wire.enqueued.get(id) : undefined
    if (enqueued && result) this.promises.enqueued(enqueued, (result as EnqueueResult).fates)
    wire.enqueued.delete(id as number)
    const asked = typeof id === 'number' ? wire.asked.get(id) : undefined
    if (asked && result) {
      wire.asked.delete(id as number)
      const { stale } = result as { stale: Lease[] }
      this.truth.settled(asked.params, stale, asked.at)
      const refused = new Set(stale.map(([job, token]) => `${job} ${token}`))
      this.promises.settled(asked.params, refused, Math.min(asked.at, this.nowMs))
    }
    wire.toClient(frame)
  }

  /** What the home counts is what there is, whenever nothing is on its way. */
  #compare({ ready, scheduled, retrying, active, dead }: CountsResult): void {
    if (!this.#home || !this.disk.idle) return
    this.#world.count('counted')
    const rows = this.disk.rows()
    const counted = [ready + scheduled + retrying + active, dead]
    const there = [
      rows.filter(({ lane }) => lane < LANES.dead).length,
      rows.filter(({ lane }) => lane === LANES.dead).length,
    ]
    if (counted.join() !== there.join() || Math.min(ready, scheduled, retrying) < 0)
      this.#world.broken ??= new Error(
        `counted ${JSON.stringify({ ready, scheduled, retrying, active, dead })}, there are ${there}`,
      )
  }

  #given(worker: string, { token = 0, untilMs = 0, jobs, ticks = [], messages }: ClaimResult, wire: Wire): void {
    const at = untilMs - this.#world.swarm.leaseMs
    for (const [i, [job, delivery, , more]] of jobs.entries()) {
      const [, schedule] = ticks.find(([index]) => index === i) ?? []
      const name = schedule === undefined ? (messages[i] as string) : nameOf(schedule, job)
      this.promises.claimed([job, token], name, more?.state)
      this.truth.claimed(worker, job, { job: name, token, untilMs, at, wire, delivery })
    }
  }

  /** The server learns that a link is gone. */
  gone(wire: Wire): void {
    if (!this.#wires.has(wire)) return
    this.#forget(wire)
    this.#home?.detach(wire.link as number)
  }

  #forget(wire: Wire): void {
    this.#wires.delete(wire)
    for (const { params } of wire.asked.values()) {
      this.truth.unanswered(params)
      this.promises.unanswered(params)
    }
    wire.asked.clear()
    if (wire.worker !== undefined) this.truth.absent(wire.worker, this.nowMs)
  }

  crash(): void {
    if (!this.#home) return
    this.#world.fault('server crash')
    this.#life++
    this.#home = undefined
    this.disk.crash()
    for (const wire of [...this.#wires]) {
      this.#forget(wire)
      wire.drop()
    }
    this.#world.clock.in(this.#world.random.next() * 2_000, () => this.start())
  }

  /** The memory goes and the links stay, between two events. */
  hibernate(): void {
    if (!this.#home || !this.disk.idle) return
    // What was asked and not answered yet is a turn of the event at hand, which holds the memory.
    if ([...this.#wires].some(({ asked }) => asked.size > 0)) return
    this.#world.fault('hibernated')
    this.start()
    for (const wire of this.#wires) this.#attach(this.#home, wire)
  }

  jump(): void {
    this.#world.fault('clock jump')
    const { random } = this.#world
    this.#clockOffset += random.pick([-60_000, -3_000, -100, 100, 3_000, 60_000])
  }

  /** Somebody sets it right. */
  putClockRight(): void {
    if (this.#clockOffset !== 0) this.#world.fault('clock jump')
    this.#clockOffset = 0
  }
}
