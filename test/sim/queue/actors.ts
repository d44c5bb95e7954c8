import { encodeRequest, type Frame } from '../../../packages/sdk/src/protocol/codec.ts'
import type { PublishResult } from '../../../packages/sdk/src/protocol/frames/publish.ts'
import type {
  ClaimResult,
  EndedParams,
  JobOptions,
  JobsParams,
  Lease,
  LostParams,
  SettleParams,
  WatchResult,
  WorkResult,
} from '../../../packages/sdk/src/protocol/frames/queue.ts'
import { encodeEnqueue } from '../../support/queue-client.ts'
import { QUEUE, Wire } from './server.ts'
import type { QueueWorld } from './world.ts'

const BACKOFF = { type: 'exponential', initialMs: 200, factor: 2, maxMs: 3_000, jitter: 0.5 } as const

const KEYED: readonly JobOptions[] = [
  { dedupe: { key: 'dropped', mode: 'drop' } },
  { dedupe: { key: 'dropped for a time', mode: 'drop', ttlMs: 4_000 } },
  { dedupe: { key: 'replaced', mode: 'replace' } },
  { dedupe: { key: 'put off', mode: 'debounce', maxDelayMs: 3_000 }, delayMs: 1_000 },
]

/** Whoever comes back after a while when its link is lost. */
export abstract class Actor {
  protected readonly world: QueueWorld
  protected wire: Wire | undefined
  #lastRequest = 0
  protected readonly answers = new Map<number, (result: unknown) => void>()
  stopped = false

  constructor(world: QueueWorld) {
    this.world = world
    world.clock.in(world.random.next() * 500, () => this.connect())
  }

  get connected(): boolean {
    return this.wire?.open === true
  }

  cut(): void {
    if (!this.connected) return
    this.world.fault('cut')
    this.wire?.cut()
  }

  connect(): void {
    if (this.stopped || this.connected) return
    this.answers.clear()
    const wire: Wire = new Wire(this.world, {
      heard: (frame) => {
        if (this.wire === wire && !this.stopped) this.#heard(frame)
      },
      lost: () => {
        if (this.wire === wire) this.world.clock.in(this.world.random.next() * 1_000, () => this.connect())
      },
    })
    this.wire = wire
    this.ask('hello', { versions: [1] }, () => {})
    this.greet()
  }

  protected ask(method: string, params: object, then: (result: unknown) => void): void {
    const id = this.expect(then)
    this.wire?.send(encodeRequest(id, method, { queue: QUEUE, ...params }))
  }

  protected expect(then: (result: unknown) => void): number {
    this.answers.set(++this.#lastRequest, then)
    return this.#lastRequest
  }

  #heard(frame: Frame): void {
    if (typeof frame.id === 'number') {
      const then = this.answers.get(frame.id)
      this.answers.delete(frame.id)
      if (frame.result) then?.(frame.result)
      else if (then) this.failed()
    } else this.told(frame)
  }

  protected abstract greet(): void
  protected failed(): void {}
  protected told(_: Frame): void {}
}

/** Adds jobs, and sends again what was not answered. */
export class Enqueuer extends Actor {
  readonly #publisher: string
  readonly #unacked: { sequence: number; job: string; options: JobOptions }[] = []
  #sequence = 0
  #settled = 0
  readonly #watched = new Set<number>()
  #again = false

  constructor(world: QueueWorld, name: string) {
    super(world)
    this.#publisher = `publisher-${name}`
  }

  get idle(): boolean {
    return this.#unacked.length === 0
  }

  add(job: string): void {
    const { random, swarm } = this.world
    const group = random.chance(swarm.groupedJobs) ? random.pick(swarm.groups) : undefined
    const priority = group?.priority ?? (random.chance(0.3) ? random.between(0, 9) : undefined)
    const options: JobOptions = {
      attempts: random.pick([1, 3, 100]),
      backoff: BACKOFF,
      ...(random.chance(swarm.delayedJobs) && { delayMs: random.between(1, 8_000) }),
      ...(priority !== undefined && { priority }),
      ...(group && { group: group.most === 1 ? group.name : { id: group.name, concurrency: group.most } }),
      ...(swarm.retainedJobs > 0 &&
        random.chance(swarm.retainedJobs) && { retain: { ms: random.pick([300, 5_000, 20_000]) } }),
      ...(swarm.keyedJobs > 0 && random.chance(swarm.keyedJobs) && random.pick(KEYED)),
    }
    // One that replaces another takes its place.
    if (group && !options.dedupe) this.world.server.truth.grouped(job, { group, priority: priority ?? 4, options })
    this.#unacked.push({ sequence: ++this.#sequence, job, options })
    if (this.connected) this.#send(this.#unacked.slice(-1), this.#sequence - 1)
  }

  protected override greet(): void {
    this.#watch([...this.#watched])
    // All at once, or one by one.
    if (this.world.random.chance(0.5)) this.#send(this.#unacked, this.#settled)
    else
      for (const [i, one] of this.#unacked.entries()) this.#send([one], this.#unacked[i - 1]?.sequence ?? this.#settled)
  }

  /** What it sent counted on something that the home has forgotten, or has not taken. */
  protected override failed(): void {
    if (this.#again) return
    this.#again = true
    this.world.clock.in(500 * this.world.random.next(), () => {
      this.#again = false
      if (this.connected) this.greet()
    })
  }

  protected override told({ method, params }: Frame): void {
    if (method === 'ended') this.world.server.promises.told(params as EndedParams)
    if (method === 'forgot') this.#watch([...this.#watched])
  }

  #watch(ids: readonly number[]): void {
    for (const id of ids) this.#watched.add(id)
    if (ids.length === 0 || !this.connected) return
    this.ask('watch', { ids: ids.slice(0, 50) }, (result) => {
      for (const job of (result as WatchResult).jobs) {
        this.world.server.promises.told(job)
        if (job.state !== 'waiting') this.#watched.delete(job.id)
      }
    })
  }

  #send(batch: readonly { sequence: number; job: string; options: JobOptions }[], after: number): void {
    const first = batch[0]?.sequence
    if (first === undefined) return
    const id = this.expect((result) => this.#answered(result as PublishResult))
    const params = { queue: QUEUE, publisher: this.#publisher, after, first, each: batch.map(({ options }) => options) }
    const bodies = batch.map(({ job }) => JSON.stringify(job))
    this.wire?.send(encodeEnqueue(id, params, bodies))
  }

  #answered({ fates }: PublishResult): void {
    for (const { fate, first, count, offset } of fates) {
      if (fate === 'duplicate') this.world.count('repeat')
      for (let sequence = first; sequence < first + count; sequence++) {
        const index = this.#unacked.findIndex((one) => one.sequence === sequence)
        if (index === -1) continue
        const [one] = this.#unacked.splice(index, 1)
        if (offset !== undefined && this.world.chance(this.world.swarm.watchedJobs))
          this.#watch([offset + sequence - first])
        if (fate === 'redundant') continue
        this.#settled = Math.max(this.#settled, sequence)
        if (one) this.world.server.truth.enqueued(one.job)
      }
    }
  }
}

interface Task {
  readonly id: number
  readonly token: number
  /** What it will say, once it is known. */
  outcome: Omit<SettleParams, 'queue'> | undefined
  abandoned: boolean
}

/** Takes jobs and works on them, in all the ways in which workers do and do not. */
export class SimWorker extends Actor {
  readonly name: string
  readonly #tasks = new Map<string, Task>()
  #frozenUntil = 0
  /** It asks for jobs, and is not pushed to. */
  readonly #pulls: boolean

  constructor(world: QueueWorld, name: string, pulls: boolean) {
    super(world)
    this.name = `worker-${name}`
    this.#pulls = pulls
  }

  /** The process is gone with all it had. */
  kill(): void {
    this.world.fault('worker killed')
    this.stopped = true
    this.wire?.cut()
    this.#tasks.clear()
  }

  /** It stands still, and goes on later as if nothing had happened. */
  freeze(ms: number): void {
    this.world.fault('worker frozen')
    this.#frozenUntil = this.world.clock.now + ms
  }

  protected override greet(): void {
    if (this.#pulls) this.#claim()
    else this.#work()
    for (const task of this.#tasks.values()) if (task.outcome) this.#say(task)
  }

  /** Again and again, as long as the link lives. */
  #claim(): void {
    const { clock, random, swarm } = this.world
    const { wire } = this
    const again = (): void => {
      if (this.wire === wire && this.connected && !this.stopped) this.#claim()
    }
    const count = swarm.capacity - this.#tasks.size
    if (count <= 0) {
      clock.in(100 + random.next() * 500, again)
      return
    }
    const asked = { worker: this.name, count, leaseMs: swarm.leaseMs, wait: random.chance(0.5) }
    this.ask('claim', asked, (result) => {
      const { token, jobs } = result as ClaimResult
      if (jobs.length > 0) this.world.count('pulled')
      for (const [id] of jobs) this.#begin({ id, token: token as number, outcome: undefined, abandoned: false })
      clock.in(100 + random.next() * 500, again)
    })
  }

  #work(): void {
    const { capacity, leaseMs } = this.world.swarm
    const holding = [...this.#tasks.values()].map(({ id, token }): Lease => [id, token])
    this.ask('work', { worker: this.name, capacity, leaseMs, holding }, (result) => {
      for (const lease of (result as WorkResult).lost) this.#lose(lease)
    })
  }

  /** It wants to hold another number of jobs, and says so while others may be on their way to it. */
  #turn(): void {
    const { clock, random, swarm } = this.world
    const { wire } = this
    clock.in(random.next() * swarm.delayMs, () => {
      if (this.wire !== wire || !this.connected || this.stopped) return
      this.world.count('said again what it holds')
      this.#work()
    })
  }

  protected override told({ method, params }: Frame): void {
    if (method === 'jobs') {
      const { token, jobs } = params as JobsParams
      for (const [id] of jobs) this.#begin({ id, token, outcome: undefined, abandoned: false })
      if (this.world.chance(this.world.swarm.turning)) this.#turn()
    } else if (method === 'lost') for (const lease of (params as LostParams).leases) this.#lose(lease)
  }

  #lose([id, token]: Lease): void {
    const task = this.#tasks.get(`${id} ${token}`)
    if (!task) return
    this.world.count('told that a lease was lost')
    // Some handlers do not listen, and ack all the same.
    if (this.world.chance(this.world.swarm.stubborn)) return
    task.abandoned = true
    this.#tasks.delete(`${id} ${token}`)
  }

  #begin(task: Task): void {
    const { clock, random, swarm } = this.world
    this.#tasks.set(`${task.id} ${task.token}`, task)
    // Nobody tells it that a lease has ended.
    if (this.#pulls)
      this.world.clock.in(4 * this.world.swarm.leaseMs, () => this.#tasks.delete(`${task.id} ${task.token}`))
    if (this.world.chance(swarm.silent)) {
      this.world.fault('handler never ends')
      return
    }
    const slow = this.world.chance(swarm.slow)
    if (slow) this.world.fault('handler slower than its lease')
    const ms = slow
      ? swarm.leaseMs * (1 + 2 * random.next())
      : random.next() * Math.min(swarm.handleMs, swarm.leaseMs / 2)
    if (this.world.chance(swarm.keeping))
      clock.in(ms / 3, () => this.#settle({ keep: [{ lease: [task.id, task.token], state: `"${task.token}"` }] }))
    if (this.world.chance(swarm.extending))
      clock.in(ms / 2, () => this.#settle({ extend: [{ lease: [task.id, task.token], ms: swarm.leaseMs }] }))
    clock.in(ms, () => this.#end(task))
  }

  #end(task: Task): void {
    const { clock, swarm } = this.world
    if (this.stopped || task.abandoned) return
    if (clock.now < this.#frozenUntil) {
      clock.at(this.#frozenUntil, () => this.#end(task))
      return
    }
    const lease: Lease = [task.id, task.token]
    if (this.world.chance(swarm.failing)) task.outcome = { retry: [{ lease, error: 'failed' }] }
    else if (this.world.chance(swarm.releasing)) task.outcome = { release: [lease] }
    else if (this.world.chance(swarm.snoozing)) task.outcome = { snooze: [{ lease, ms: 500 }] }
    else if (this.world.chance(swarm.results)) task.outcome = { done: [{ lease, result: `"${lease}"` }] }
    else task.outcome = { ack: [lease] }
    this.#say(task)
  }

  /** Until it is answered it is said again on every link. */
  #say(task: Task): void {
    if (!this.connected) return
    this.ask('settle', { ...task.outcome, ...this.#named }, () => this.#tasks.delete(`${task.id} ${task.token}`))
  }

  get #named(): object {
    return this.#pulls ? { worker: this.name } : {}
  }

  #settle(params: Omit<SettleParams, 'queue'>): void {
    if (this.connected && !this.stopped) this.ask('settle', { ...params, ...this.#named }, () => {})
  }

  pause(paused: boolean): void {
    if (!this.connected) return
    this.world.count(paused ? 'paused' : 'went on')
    this.ask('pause', { paused }, () => {})
  }

  limit(limits: object): void {
    if (this.connected) this.ask('limit', limits, () => this.world.count('limited'))
  }

  bulk(action: string): void {
    if (!this.connected) return
    if (action === 'redrive') this.world.server.truth.countsAnew = true
    this.ask('bulk', { action }, (result) => {
      if ((result as { count: number }).count > 0) this.world.count('done to many')
    })
  }

  counts(): void {
    if (this.connected) this.ask('counts', {}, () => {})
  }

  redrive(): void {
    if (!this.connected) return
    this.world.server.truth.countsAnew = true
    this.ask('redrive', {}, (result) => {
      if ((result as { redriven: number }).redriven > 0) this.world.count('redriven')
    })
  }
}
