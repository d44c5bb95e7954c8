import type { JobOptions, Lease, SettleParams } from '../../../packages/sdk/src/protocol/frames/queue.ts'
import type { GroupFacts } from '../../support/checker/history.ts'
import type { SimGroup } from './swarm.ts'
import type { QueueWorld } from './world.ts'

interface Live {
  readonly job: string
  readonly group: string | undefined
  readonly token: number
  readonly worker: string
  untilMs: number
  /** On which it was given, if the home remembers that. */
  wire: object | undefined
}

interface GroupedJob {
  readonly group: SimGroup
  readonly priority: number
  readonly options: JobOptions
  /** As which of all it was begun first. */
  begun: number
}

/**
 * What may be true of each lease, as somebody sees it who watches all frames at the queue's home: written down for the checker in
 * the order of that home, with its times. A lease ends when it is settled; before its deadline only for a reason that is looked for here.
 */
export class Truth {
  readonly #world: QueueWorld
  readonly #nameOf = new Map<number, string>()
  readonly #known = new Set<string>()
  readonly #live = new Map<string, Live>()
  readonly #absentSince = new Map<string, number>()
  /** Dead jobs are redriven, whose deliveries are counted from the start. */
  countsAnew = false
  /** Jobs whose ack was heard and never answered. */
  readonly maybeDone = new Set<string>()
  readonly done = new Set<string>()

  constructor(world: QueueWorld) {
    this.#world = world
  }

  /** The home has lost its memory. */
  woken(): void {
    for (const live of this.#live.values()) live.wire = undefined
    for (const lease of this.#released) this.#forgotten.add(lease)
    this.#released.clear()
  }

  enqueued(job: string): void {
    if (this.#known.has(job)) return
    this.#known.add(job)
    this.#world.record({ e: 'enqueued', job })
  }

  readonly #groups = new Map<string, GroupedJob>()
  readonly #redriven = new Set<number>()
  #begunCount = 0

  grouped(job: string, facts: Omit<GroupedJob, 'begun'>): void {
    this.#groups.set(job, { ...facts, begun: 0 })
  }

  /** One that is dead is over, and begins anew. */
  redriven(id: number): void {
    this.#redriven.add(id)
  }

  #groupFacts(job: string, id: number): { group: GroupFacts } | undefined {
    const facts = this.#groups.get(job)
    if (!facts) return undefined
    const { swarm } = this.#world
    const { group, priority, options } = facts
    facts.begun ||= ++this.#begunCount
    const others = [...this.#live.values()].filter(
      (live) =>
        live.group === group.name && live.job !== job && !this.#ended.has(live) && !this.maybeDone.has(live.job),
    )
    const strict = group.most === 1 && !this.#redriven.has(id)
    // Whether a delayed job is due is a matter of the clock, and so is the place of a clock that is put back.
    const order = {
      ...(strict && options.delayMs === undefined && { id }),
      ...(strict && swarm.every.clockJump === undefined && { begun: facts.begun }),
    }
    this.#world.count('grouped')
    if (strict) this.#world.count('strictly grouped')
    return { group: { name: `${group.name} of ${priority}`, held: others.length + 1, most: group.most, order } }
  }

  /** Something happens at the home: leases whose time is over are over. */
  tick(nowMs: number): void {
    for (const [worker, since] of this.#absentSince) this.#absentSince.set(worker, Math.min(since, nowMs))
    for (const live of [...this.#live.values()]) {
      const { graceMs } = this.#world.swarm
      const since = this.#absentSince.get(live.worker)
      if (live.untilMs <= nowMs || (since !== undefined && since + graceMs <= nowMs)) this.#mayEnd(live)
    }
  }

  readonly #ended = new Set<Live>()
  /** Leases that were released, which costs no row; and those of which a home that woke since does not know it. */
  readonly #released = new Set<string>()
  readonly #forgotten = new Set<string>()
  #latest = 0

  /** The checker's time does not run backwards where the home's clock is put back; what has ended by that clock is known here. */
  #time(at: number): number {
    this.#latest = Math.max(this.#latest, at)
    return this.#latest
  }

  #mayEnd(live: Live): void {
    this.#ended.add(live)
  }

  claimed(
    worker: string,
    id: number,
    lease: { job: string; token: number; untilMs: number; at: number; wire: object; delivery: number },
  ): void {
    const { job, token, untilMs, wire, delivery } = lease
    const at = this.#time(lease.at)
    this.enqueued(job)
    this.#nameOf.set(id, job)
    const before = this.#live.get(job)
    if (before && this.#ended.has(before))
      this.#world.record({ e: 'settled', job, token: before.token, at, as: 'back', accepted: true })
    const deadline = at + untilMs - lease.at
    this.#world.record({
      e: 'claimed',
      job,
      token,
      at,
      deadline,
      ...this.#groupFacts(job, id),
      ...(!this.countsAnew && { delivery }),
    })
    this.#live.set(job, { job, group: this.#groups.get(job)?.group.name, token, worker, untilMs, wire })
  }

  /** A worker says what it holds: everything else of it goes back, but for what may be on its way to it. */
  holding(worker: string, holding: readonly Lease[] | undefined, wire: object): void {
    this.#absentSince.delete(worker)
    if (!holding) return
    const held = new Set(holding.map(([id, token]) => `${this.#nameOf.get(id)} ${token}`))
    for (const live of this.#live.values())
      if (live.worker === worker && live.wire !== wire && !held.has(`${live.job} ${live.token}`)) this.#mayEnd(live)
  }

  /** Workers are told that their time was over. */
  lost(leases: readonly Lease[]): void {
    for (const [id, token] of leases) {
      const job = this.#nameOf.get(id)
      if (job !== undefined) this.#world.record({ e: 'lost', job, token })
    }
  }

  absent(worker: string, nowMs: number): void {
    if (!this.#absentSince.has(worker)) this.#absentSince.set(worker, nowMs)
  }

  /** The home has answered: what is not stale is done. */
  settled(params: Omit<SettleParams, 'queue'>, stale: readonly Lease[], nowMs: number): void {
    const at = this.#time(nowMs)
    const refused = new Set(stale.map(([id, token]) => `${id} ${token}`))
    const note = ([id, token]: Lease, as: 'done' | 'back'): void => {
      const job = this.#nameOf.get(id)
      if (job === undefined) return
      const accepted = !refused.has(`${id} ${token}`)
      this.#world.count(accepted ? `accepted ${as}` : `stale ${as}`)
      // Saying again that one gives a job back is true again.
      if (accepted && as === 'back' && this.#forgotten.delete(`${id} ${token}`)) return
      this.#world.record({ e: 'settled', job, token, at, as, accepted })
      if (accepted && as === 'done') this.done.add(job)
      if (accepted && this.#live.get(job)?.token === token) this.#live.delete(job)
    }
    for (const lease of params.ack ?? []) note(lease, 'done')
    for (const { lease } of params.done ?? []) note(lease, 'done')
    for (const { lease } of params.retry ?? []) note(lease, 'back')
    for (const lease of params.release ?? []) {
      note(lease, 'back')
      this.#released.add(`${lease[0]} ${lease[1]}`)
    }
    for (const { lease } of params.snooze ?? []) note(lease, 'back')
    for (const { lease, ms = 0 } of params.extend ?? []) {
      const [id, token] = lease
      const job = this.#nameOf.get(id)
      const accepted = !refused.has(`${id} ${token}`)
      if (job === undefined) continue
      const live = this.#live.get(job)
      const untilMs = Math.max(live?.untilMs ?? 0, nowMs + ms)
      this.#world.record({ e: 'extended', job, token, at, deadline: at + untilMs - nowMs, accepted })
      if (accepted && live?.token === token) live.untilMs = untilMs
    }
  }

  /** Nobody will hear what became of it. */
  unanswered({ ack = [], done = [], retry = [], release = [], snooze = [] }: Omit<SettleParams, 'queue'>): void {
    for (const [id] of [...ack, ...done.map(({ lease }) => lease)]) {
      const job = this.#nameOf.get(id)
      if (job !== undefined) this.maybeDone.add(job)
    }
    for (const [id, token] of [...retry.map(({ lease }) => lease), ...release, ...snooze.map(({ lease }) => lease)]) {
      const live = this.#live.get(this.#nameOf.get(id) ?? '')
      if (live?.token === token) this.#mayEnd(live)
    }
  }
}
