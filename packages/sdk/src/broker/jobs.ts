import { LINE_BREAK } from '../protocol/codec.ts'
import { type Fault, fault } from '../protocol/error-codes.ts'
import type { Fate } from '../protocol/frames/publish.ts'
import type { EnqueueParams, JobOptions } from '../protocol/frames/queue.ts'
import { LIMITS } from '../protocol/limits.ts'
import type { EnqueueRequest } from '../protocol/queue-requests.ts'
import type { JobRow, Place, QueueCommit } from '../store/queue-store.ts'
import type { Snapshot } from './filter.ts'
import { Groups, type Need } from './groups.ts'
import {
  backoffMs,
  CLAIMABLE,
  chanceOf,
  groupOf,
  isExpired,
  isFinal,
  isStrict,
  type Job,
  jobOf,
  LANES,
  laneOf,
  newJob,
  rewrite,
  WIDTH,
} from './job.ts'
import { rest } from './journal.ts'
import { countsUntil, Found, isFree, isOver, type KeyState, Keys, placeOf } from './keys.ts'
import { Lane } from './lane.ts'
import type { Rate } from './machine.ts'
import { Outcomes } from './outcomes.ts'
import { Publishers } from './publishers.ts'
import { type Carried, leaseFact, marksOf, type QueueLimits, type Recovered, STATE, writeMarks } from './queue-facts.ts'
import { Rates } from './rates.ts'
import type { Allowed } from './rights.ts'
import type { Schedules, Tick } from './schedules.ts'
import { Tally } from './tally.ts'

/** The right to one job until a time. Its token is its claim's. */
export interface Held {
  readonly job: Job
  readonly claim: Claim
  untilMs: number
  /** What its handler has said, in memory alone: JSON text, and the last lines. */
  progress?: string
  log?: readonly string[]
  /** Since when; not known of one that was given before the home was started. */
  readonly sinceMs?: number
}

/**
 * Leases given to one worker in one commit. They lie in one row, which a later claim overwrites when all of them have ended: a job that
 * is done costs the deletion of its own row and nothing else.
 */
export interface Claim {
  readonly token: number
  readonly slot: number
  readonly worker: string
  readonly leaseMs: number
  readonly held: Map<number, Held>
  /** Payloads of all that were given with it. */
  bytes: number
  /** Whether its worker may have heard of it. */
  pushed: boolean
  /** On which link it was told, if this home remembers that. */
  link: number | undefined
}

/** What one commit writes, and whom it gives jobs to. */
export interface Sealed {
  readonly write: QueueCommit
  readonly claims: readonly Claim[]
  readonly bytes: number
}

/**
 * The jobs of a queue: takes them in, says which is next, and what each commit writes. It is ahead of the store, and knows only what it
 * must: jobs that are held, the first ones of each lane, and what was touched since the store was asked for more.
 */
export class Jobs {
  readonly schedules: Schedules
  readonly #publishers: Publishers
  /** Of publishers whose newest jobs were dropped, the sequence of the last: nothing is missing up to there, and nothing is stored. */
  readonly #dropped = new Map<string, number>()
  readonly #keys = new Keys(() => this.reading > 0)
  /** Publishers whose marks have changed since they were written by themselves. */
  #changed: Set<string>
  #next: number
  #token: number
  #paused: boolean
  #limits: QueueLimits
  readonly #rates = new Rates()
  #given: string
  #carryCount: number
  /** The id up to which marks can be learned without the rows of jobs. */
  #carriedNext: number
  #mustCarry = false

  readonly #lanes = Array.from({ length: CLAIMABLE }, (_, number) => new Lane(number))
  readonly #held = new Map<number, Held>()
  #heldBytes = 0
  readonly #groups = new Groups({ resolve: (row) => this.resolve(row), isHeld: (id) => this.#held.has(id) })
  /** Jobs whose lease was lost and that nobody has claimed since: their workers may still say that they are done. */
  readonly #lost = new Map<number, Held>()
  /** While the store is asked for jobs: what has happened to any of them meanwhile. */
  readonly #touched = new Map<number, Job>()
  reading = 0

  /** Rows by lane, as decided; and those of them that are held. */
  readonly #rows = new Tally()
  readonly #heldRows = new Tally()
  /** Jobs that were given back, by the slot in which they are still written down, so that a home which wakes would take them for held. */
  readonly #back = new Map<number, { readonly slot: number; readonly lane: number }>()
  readonly #backRows = new Tally()
  readonly #backBySlot = new Map<number, number[]>()

  readonly #freeSlots: number[]
  #slotCount: number
  #dirty: Job[] = []
  #claims: Claim[] = []
  readonly #dirtyClaims = new Set<Claim>()
  #putBytes = 0
  #tickCount = 0
  /** No lease ends before. */
  #nextDeadline = Number.POSITIVE_INFINITY
  readonly outcomes = new Outcomes()
  /** When something that was kept in this life may go. */
  agesAt = Number.POSITIVE_INFINITY

  constructor(recovered: Recovered, nowMs: number) {
    const { publishers, changed, next, token, paused, count, slots, claims } = recovered
    this.schedules = recovered.schedules
    this.#publishers = publishers
    this.#changed = changed
    this.#next = next
    this.#carriedNext = recovered.carriedNext
    this.#token = token
    this.#paused = paused
    this.#limits = recovered.limits
    this.#given = recovered.given
    this.#rates.restore(this.#given)
    this.#carryCount = count
    this.#slotCount = slots
    const used = new Set(claims.map(({ slot }) => slot))
    this.#freeSlots = Array.from({ length: slots }, (_, slot) => slot).filter((slot) => !used.has(slot))
    recovered.rows.forEach((count, lane) => {
      this.#rows.add(lane, count)
    })
    for (const claim of claims) {
      for (const held of claim.held.values()) {
        // A clock that was put right must not make a lease last for years.
        held.untilMs = Math.min(held.untilMs, nowMs + LIMITS.leaseMs)
        this.#held.set(held.job.id, held)
        this.#heldBytes += held.job.body.length
        this.#groups.began(held.job)
        this.#heldRows.add(held.job.lane, 1)
        this.#nextDeadline = Math.min(this.#nextDeadline, held.untilMs)
      }
    }
  }

  get paused(): boolean {
    return this.#paused
  }

  /** How many jobs more may be given out now. */
  room(nowMs: number): number {
    const { concurrency = LIMITS.leasesPerQueue, rate } = this.#limits
    const room = this.#paused ? 0 : Math.min(concurrency, LIMITS.leasesPerQueue) - this.#held.size
    return rate && room > 0 ? Math.min(room, this.#rates.room(ALL, rate, nowMs)) : room
  }

  /** When another job may be given out, where the rate is all that is in the way. */
  freeAt(nowMs: number): number {
    const { rate } = this.#limits
    if (!rate || this.#rates.room(ALL, rate, nowMs) > 0) return Number.POSITIVE_INFINITY
    return nowMs + this.#rates.waitMs(ALL, rate, { count: 1, nowMs })
  }

  get heldBytes(): number {
    return this.#heldBytes
  }

  get leaseCount(): number {
    return this.#held.size
  }

  get held(): Iterable<Held> {
    return this.#held.values()
  }

  get waitingBytes(): number {
    return this.#putBytes
  }

  get empty(): boolean {
    const { dirty } = this.schedules
    return this.#dirty.length === 0 && this.#dirtyClaims.size === 0 && !this.#mustCarry && !dirty && this.#keys.empty
  }

  /** Whether nothing is to be written but that jobs are over, and at least that. */
  get hasOnlyEnds(): boolean {
    if (this.#dirty.length === 0 || this.#dirtyClaims.size > 0 || this.#mustCarry) return false
    return !this.schedules.dirty && this.#keys.empty && this.#dirty.every(isGone)
  }

  get nextDeadline(): number {
    return this.#nextDeadline
  }

  // ---- taking in

  /** For who may not enqueue any more. What is there was enqueued while they might: told that it is refused, they would enqueue it again. */
  turnAway(user: string, { params, lines }: EnqueueRequest, reason: Fault): Fate[] | Fault {
    const { publisher, after, first } = params
    return this.#publishers.turnAway(Publishers.key(user, publisher), { after, first, count: lines.count }, reason)
  }

  /**
   * The fates of a frame's jobs, once the next commit is durable, or why none of them can be taken.
   * @param found what the store knows of the keys in it: all that {@link unread} asked for
   */
  accept(
    _: Allowed<'enqueue'>,
    user: string,
    { params, lines, room }: EnqueueRequest,
    nowMs: number,
    found: Found = NOTHING,
  ): Fate[] | Fault {
    const { publisher, first, sentAt, options = NO_OPTIONS, each } = params
    const by = Publishers.key(user, publisher)
    const after = this.#dropped.size > 0 ? this.#afterDropped(by, params.after) : params.after
    const verdict = this.#publishers.check(by, { after, first, count: lines.count })
    if ('code' in verdict) return verdict
    const { repeats } = verdict
    let { refused } = lines
    // Repeats were paid for when they were stored.
    const most = repeats + (room ?? lines.count)
    let end = Math.max(repeats, Math.min(most, refused?.index ?? lines.count))
    const fates: Fate[] = repeats > 0 ? this.#publishers.repeats(by, first, repeats) : []
    if (end > repeats) {
      const bodies = lines.count === 1 ? [lines.body] : lines.body.split(LINE_BREAK)
      const shared = kindOf(options, sentAt)
      const owner = Publishers.owner(user, publisher)
      const byText = JSON.stringify(owner)
      // The first one of those that were stored in a row.
      let run = repeats
      for (let i = repeats; i < end; i++) {
        const own = each?.[i]
        const kind = own ? kindOf({ ...options, ...own }, sentAt) : shared
        const arrival = { body: bodies[i] as string, by: owner, byText, sequence: first + i, nowMs }
        const fate = kind.options.dedupe && this.#addKeyed(kind, arrival, found)
        if (!kind.options.dedupe) this.#add(kind, arrival)
        if (!fate) continue
        this.#stored(fates, by, { first: first + run, count: i - run, nowMs })
        run = i + 1
        if ('fate' in fate) this.#keyed(fates, by, fate, nowMs)
        else {
          refused = { index: i, fault: fate }
          end = i
        }
      }
      this.#stored(fates, by, { first: first + run, count: end - run, nowMs })
      if (this.#next - this.#carriedNext >= LIMITS.carriedJobs) this.#mustCarry = true
    }
    fates.push(...rest({ first, end, count: lines.count }, refused))
    return fates
  }

  /** How many jobs a user may enqueue now who may do so only as fast. */
  roomFor(user: string, rate: Rate, nowMs: number): number {
    return Math.max(0, this.#rates.room(user, rate, nowMs))
  }

  /** @returns when it is worth asking again for those that were left */
  spend(user: string, rate: Rate, { count, left, nowMs }: { count: number; left: number; nowMs: number }): number {
    if (count > 0) this.#rates.spend(user, rate, { count, nowMs })
    this.#mustCarry ||= this.#rates.unsaved
    return this.#rates.waitMs(user, rate, { count: left, nowMs })
  }

  /** Adds jobs for the ticks whose time has come. What is left after so many comes with the next commit. */
  tick(nowMs: number): void {
    while (nowMs >= this.schedules.nextAt && this.#tickCount < LIMITS.ticksPerCommit) {
      const tick = this.schedules.take(nowMs)
      if (!tick) return
      this.#tickCount++
      this.#addTick(tick, nowMs)
    }
  }

  /** Adds a job of a schedule that is there by hand. @returns its id, or `undefined` where there may be no other one now */
  runSchedule(may: Allowed<'change'>, id: string, run: string, nowMs: number): number | undefined {
    const tick = this.schedules.byHand(may, id, run)
    if ('job' in tick) return tick.job
    const job = this.#addTick(tick, nowMs)
    this.schedules.ran(tick, run, job)
    return job
  }

  #addTick(tick: Tick, nowMs: number): number {
    // Each tick comes once: a key would be in its way.
    const { dedupe: _, ...options } = tick.options
    const { body, by, sequence } = tick
    const job = this.#add(kindOf(options), { body, by, byText: JSON.stringify(by), sequence, nowMs })
    if (this.#next - this.#carriedNext >= LIMITS.carriedJobs) this.#mustCarry = true
    this.schedules.added(tick, job)
    return job.id
  }

  /** The newest jobs, so many in a row, are those of a publisher. */
  #stored(fates: Fate[], by: string, { first, count, nowMs }: { first: number; count: number; nowMs: number }): void {
    if (count <= 0) return
    const offset = this.#next - count
    this.#publishers.record(by, { first, count, offset, at: nowMs })
    this.#changed.add(by)
    if (this.#dropped.size > 0) this.#dropped.delete(by)
    fates.push({ fate: 'stored', first, count, offset })
  }

  /** A job was not stored as one of its own. */
  #keyed(fates: Fate[], by: string, fate: Fate, nowMs: number): void {
    const { first, offset = 0 } = fate
    fates.push(fate)
    if (fate.fate === 'updated') {
      this.#publishers.record(by, { first, count: 1, offset, at: nowMs })
      this.#changed.add(by)
      this.#dropped.delete(by)
      return
    }
    if (this.#dropped.size >= LIMITS.publishersPerTopic) this.#dropped.clear()
    this.#dropped.set(by, first)
  }

  /** Who sends one frame after the other could not know yet that what came before was dropped. */
  #afterDropped(by: string, after: number): number {
    const last = this.#publishers.get(by)?.last ?? 0
    return after <= (this.#dropped.get(by) ?? 0) ? Math.min(after, last) : after
  }

  #add(kind: Kind, { body, by, byText, sequence, nowMs }: Arrival): Job {
    const { options, text, delayMs, runAt } = kind
    const due = runAt ?? nowMs + delayMs
    const timed = due > nowMs
    const lane = laneOf(timed ? LANES.scheduled : LANES.ready, options)
    const id = this.#next++
    const facts = { id, lane, due: timed ? due : 0, at: nowMs, by, sequence, options, optionsText: text, byText, body }
    const job = newJob(facts)
    // What is asked of a job is there once a job, and may be much more than its payload.
    this.#putBytes += job.head.length + body.length
    this.#touch(job)
    this.#queue(job)
    return job
  }

  // ---- keys

  /** What has to be read before a frame can be accepted: its keys and, once those are found, jobs that have them and are not at hand. */
  unread({ params, lines }: EnqueueRequest, found: Found | undefined): readonly Place[] {
    const dedupes = dedupesOf(params, lines.count)
    if (!found) return dedupes.map(({ key }) => placeOf(key))
    return dedupes.flatMap(({ key, mode }) => {
      const state = mode === 'drop' ? undefined : this.#keys.find(key, found)
      if (!state || state === 'clash' || isOver(state)) return []
      const job = this.#known(state, found)
      if (!job) return [state]
      found.atHand.set(job.id, job)
      return []
    })
  }

  #known({ id, lane, due }: KeyState, found: Found): Job | undefined {
    const row = found.jobs.get(id)
    if (row) return this.resolve(row)
    return (
      found.atHand.get(id) ??
      this.#touched.get(id) ??
      this.#held.get(id)?.job ??
      this.#lost.get(id)?.job ??
      this.#groups.find(id) ??
      this.#lanes[lane]?.find({ lane, due, id })
    )
  }

  /** @returns what became of a job whose key another one has; `undefined` where it was added */
  #addKeyed(kind: Kind, arrival: Arrival, found: Found): Fate | Fault | undefined {
    const { key, mode } = kind.options.dedupe as Dedupe
    const { sequence, nowMs } = arrival
    const state = this.#keys.find(key, found)
    if (state === 'clash') return fault('bad_params', 'dedupe.key: another key is in its way; choose another one')
    if (state && mode === 'drop' && !isFree(state, nowMs)) {
      return { fate: 'redundant', first: sequence, count: 1, offset: state.id }
    }
    if (state && !isOver(state)) {
      const waiting = this.#known(state, found) as Job
      if (!this.#held.has(waiting.id)) {
        this.#replace(waiting, kind, arrival)
        return { fate: 'updated', first: sequence, count: 1, offset: waiting.id }
      }
      // Its end must not end the key of the one that waits behind it.
      const { dedupe: _, ...options } = waiting.options
      waiting.options = options
      this.#touch(waiting)
    }
    const job = this.#add(kind, arrival)
    this.#takeKey(job, state !== undefined)
    return undefined
  }

  /** The job has its key, or has it where it is now. @param known whether there is a row of the key */
  #takeKey({ id, lane, due, options }: Job, known = true): void {
    this.#keys.take({ text: (options.dedupe as Dedupe).key, id, lane, due }, known)
  }

  /** A job that waits begins anew with the payload and options of another one; it keeps its id. */
  #replace(job: Job, { options, delayMs, runAt }: Kind, { body, nowMs }: Arrival): void {
    this.#unqueue(job)
    // Whoever had it before worked on another payload.
    this.#lost.delete(job.id)
    this.#putBytes += body.length
    const { mode, maxDelayMs = LIMITS.debounceMs } = options.dedupe as Dedupe
    const wanted = runAt ?? nowMs + delayMs
    const due = mode === 'debounce' ? Math.min(wanted, job.at + maxDelayMs) : wanted
    // Its time counts from now, too, and that of a job from when it was enqueued first.
    const { ttlMs } = options
    const own = ttlMs === undefined ? options : { ...options, ttlMs: ttlMs + Math.max(0, nowMs - job.at) }
    Object.assign(job, { options: own, body, newBody: true, attempt: 0, losses: 0, error: undefined, extra: undefined })
    this.#move(job, due > nowMs ? LANES.scheduled : LANES.ready, due > nowMs ? due : 0)
    // From its row nobody learns the mark of this publisher.
    this.#mustCarry = true
  }

  /** Where the keys of dead jobs lie, which have to be looked at before they can wait again. */
  keysOf(rows: readonly JobRow[]): readonly Place[] {
    return rows.flatMap((row) => {
      const { dedupe } = this.resolve(row).options
      return dedupe ? [placeOf(dedupe.key)] : []
    })
  }

  // ---- claiming

  /** The job that comes next, or what the store has to be asked for first. */
  peek(nowMs: number): Job | Need | undefined {
    this.#groups.wake(nowMs)
    for (let priority = 0; priority < WIDTH; priority++) {
      const next = this.#groups.next(priority) ?? this.#first(priority, nowMs)
      if (next) return next
    }
    return undefined
  }

  /** Goes along the lanes of a priority in the order of time, and parks what its group holds back. */
  #first(priority: number, nowMs: number): Job | Need | undefined {
    for (;;) {
      let best: Job | undefined
      let bestAt = Number.POSITIVE_INFINITY
      for (let number = priority; number < CLAIMABLE; number += WIDTH) {
        const lane = this.#lanes[number] as Lane
        if (lane.blank) return this.#refill(lane)
        const job = lane.head
        if (!job || job.due > nowMs) continue
        const at = number < WIDTH ? job.at : job.due
        if (at < bestAt || (at === bestAt && job.id < (best as Job).id)) {
          best = job
          bestAt = at
        }
      }
      // Only the first of all is passed by: what is parked is taken before what is not.
      if (!best || !this.#groups.blocks(best, nowMs)) return best
      if (!this.#groups.park(best)) return undefined
      this.#lane(best).shift()
    }
  }

  #refill({ number, horizon }: Lane): Need {
    const lane = this.#lanes[number] as Lane
    const bounds = { maxJobs: LIMITS.laneJobs, maxBytes: LIMITS.laneBytes }
    return {
      query: { what: 'page', lane: number, after: horizon, bounds },
      use: (rows) => this.#refilled(lane, rows),
    }
  }

  /** When the first job that is not due yet will be. */
  get dueAt(): number {
    let at = Number.POSITIVE_INFINITY
    for (let number: number = LANES.scheduled; number < CLAIMABLE; number++)
      at = Math.min(at, this.#lanes[number]?.head?.due ?? at)
    return at
  }

  /** When a group goes on that waits for one of its jobs. */
  get groupAt(): number {
    return this.#groups.wakeAt
  }

  claim(worker: string, leaseMs: number): Claim {
    const slot = this.#freeSlots.pop() ?? this.#slotCount++
    const claim: Claim = {
      token: ++this.#token,
      slot,
      worker,
      leaseMs,
      held: new Map(),
      bytes: 0,
      pushed: false,
      link: undefined,
    }
    this.#claims.push(claim)
    this.#dirtyClaims.add(claim)
    return claim
  }

  /** @returns whether the time of the job that {@link peek} told is over; then it is dead */
  expire(job: Job, nowMs: number): boolean {
    if (!isExpired(job, nowMs)) return false
    this.#take(job)
    this.#lost.delete(job.id)
    this.#bury(job, 'expired', nowMs)
    return true
  }

  /** Gives away the job that {@link peek} told. */
  lease(_: Allowed<'work'>, job: Job, claim: Claim, nowMs: number): void {
    this.#take(job)
    this.#lost.delete(job.id)
    // What was written down for its lease before must not count after a restart.
    if (this.#notBack(job.id) || job.leasedTurn === job.turn) {
      job.turn++
      this.#touch(job)
    }
    job.leasedTurn = job.turn
    job.token = claim.token
    job.until = 0
    this.#groups.began(job)
    this.#heldRows.add(job.lane, 1)
    const { rate } = this.#limits
    if (rate) this.#rates.spend(ALL, rate, { count: 1, nowMs })
    const held: Held = { job, claim, untilMs: nowMs + claim.leaseMs, sinceMs: nowMs }
    claim.held.set(job.id, held)
    this.#held.set(job.id, held)
    claim.bytes += job.body.length
    this.#heldBytes += job.body.length
    this.#nextDeadline = Math.min(this.#nextDeadline, held.untilMs)
    if (this.reading > 0) this.#touched.set(job.id, job)
  }

  // ---- what becomes of leases

  /** The lease, if it is live. */
  find(id: number, token: number): Held | undefined {
    const held = this.#held.get(id)
    return held?.claim.token === token ? held : undefined
  }

  /** The lease, if it has ended without a word and nobody was given another one since: what it says at last still counts. */
  late(id: number, token: number): Held | undefined {
    const held = this.#lost.get(id)
    return held?.claim.token === token ? held : undefined
  }

  /** Done, by a lease that is live or late. @param result JSON text */
  ack(_: Allowed<'work'>, held: Held, nowMs: number, result?: string): void {
    const { job } = held
    if (this.#held.get(job.id) === held) this.#drop(held)
    else {
      this.#lost.delete(job.id)
      this.#unqueue(job)
      if (!this.#notBack(job.id)) this.#mustCarry = true
    }
    this.outcomes.note(job.id, { by: job.by, state: 'completed', result })
    if (job.options.retain) this.#retain(job, job.options.retain.ms, nowMs, result)
    else this.#end(job, nowMs)
  }

  #retain(job: Job, ms: number, nowMs: number, result: string | undefined): void {
    this.#free(job, nowMs)
    this.schedules.ended(job)
    if (result !== undefined) {
      job.extra = { ...job.extra, result }
      this.#putBytes += result.length
    }
    const due = shelfOf(nowMs + ms)
    this.agesAt = Math.min(this.agesAt, due)
    this.#move(job, LANES.completed, due)
  }

  /** What the next attempt is given. @param state JSON text */
  keep(_: Allowed<'work'>, { job }: Held, state: string): void {
    job.extra = { ...job.extra, state }
    this.#putBytes += state.length
    this.#touch(job)
  }

  retry(
    _: Allowed<'work'>,
    held: Held,
    how: { error: string; delayMs: number | undefined; dead: boolean; chance: number },
    nowMs: number,
  ): void {
    const { job } = held
    this.#drop(held)
    job.attempt++
    job.error = how.error
    if (how.dead || isFinal(job, how.error)) this.#bury(job, how.error, nowMs)
    else {
      const chance = chanceOf(how.chance, job.id + job.attempt * 65_537)
      this.#wait(job, LANES.retrying, nowMs + (how.delayMs ?? backoffMs(job, chance)))
    }
  }

  snooze(_: Allowed<'work'>, held: Held, untilMs: number): void {
    this.#drop(held)
    this.#wait(held.job, LANES.scheduled, untilMs)
  }

  /** One that holds its group back keeps its place, where whoever goes along the lane meets it before the others. */
  #wait(job: Job, kind: number, untilMs: number): void {
    if (isStrict(job)) this.#waitInPlace(job, untilMs)
    else this.#move(job, kind, untilMs)
  }

  #waitInPlace(job: Job, untilMs: number): void {
    job.until = untilMs
    job.turn++
    this.#recount(job)
    this.#touch(job)
    this.#putBack(job)
  }

  /** Back to where it was, as if nobody had taken it. */
  release(held: Held): void {
    const { job, claim } = held
    this.#back.set(job.id, { slot: claim.slot, lane: job.lane })
    this.#backRows.add(job.lane, 1)
    this.#backBySlot.set(claim.slot, [...(this.#backBySlot.get(claim.slot) ?? []), job.id])
    this.#drop(held)
    this.#putBack(held.job)
    if (this.reading > 0) this.#touched.set(held.job.id, held.job)
  }

  /** @returns whether it is still written down as held */
  #notBack(id: number): boolean {
    const back = this.#back.get(id)
    if (!back) return false
    this.#back.delete(id)
    this.#backRows.add(back.lane, -1)
    return true
  }

  extend(_: Allowed<'work'>, held: Held, untilMs: number): void {
    // Never shorter, also where the clock was put back.
    held.untilMs = Math.max(held.untilMs, untilMs)
    this.#dirtyClaims.add(held.claim)
  }

  /** The lease has ended without a word. That is written down at once, and not when its job is claimed again: deliveries are counted by it. */
  lose(held: Held, nowMs: number): void {
    const { job, claim } = held
    if (!claim.pushed) {
      this.release(held)
      return
    }
    this.#drop(held)
    job.losses++
    if (job.losses > LIMITS.jobLosses) {
      this.#bury(job, 'poison: its workers were lost', nowMs)
      return
    }
    job.turn++
    this.#recount(job)
    this.#touch(job)
    this.#putBack(job)
    this.#lost.set(job.id, held)
  }

  /** @returns those whose time is over */
  overdue(nowMs: number): Held[] {
    const over: Held[] = []
    let next = Number.POSITIVE_INFINITY
    for (const held of this.#held.values()) {
      held.untilMs = Math.min(held.untilMs, nowMs + LIMITS.leaseMs)
      if (held.untilMs <= nowMs) over.push(held)
      else next = Math.min(next, held.untilMs)
    }
    this.#nextDeadline = next
    return over
  }

  #drop({ job, claim, log }: Held): void {
    if (log) job.extra = { ...job.extra, log }
    this.#held.delete(job.id)
    this.#heldBytes -= job.body.length
    claim.held.delete(job.id)
    this.#groups.ended(job)
    this.#heldRows.add(job.lane, -1)
    if (claim.held.size > 0) return
    this.#freeSlots.push(claim.slot)
    this.#dirtyClaims.delete(claim)
  }

  #end(job: Job, nowMs: number): void {
    if (job.lane < CLAIMABLE) this.#free(job, nowMs)
    job.gone = true
    this.schedules.ended(job)
    this.#touch(job)
  }

  #bury(job: Job, error: string, nowMs: number): void {
    job.error = error
    this.#free(job, nowMs)
    this.outcomes.note(job.id, { by: job.by, state: 'dead', error })
    this.agesAt = Math.min(this.agesAt, nowMs + LIMITS.deadMs)
    this.#move(job, LANES.dead, nowMs)
  }

  #free(job: Job, nowMs: number): void {
    if (job.options.dedupe) this.agesAt = Math.min(this.agesAt, this.#keys.free(job, nowMs))
  }

  #move(job: Job, kind: number, due: number): void {
    this.#recount(job)
    job.lane = kind >= CLAIMABLE ? kind : laneOf(kind, job.options)
    job.due = due
    job.until = 0
    job.turn++
    this.schedules.moved(job)
    this.#touch(job)
    if (job.lane >= CLAIMABLE) return
    this.#queue(job)
    if (job.options.dedupe) this.#takeKey(job)
  }

  /** It changes, and was perhaps not held: what is counted must be written with it. */
  #recount({ id }: Job): void {
    this.#notBack(id)
    this.#mustCarry = true
  }

  /** To where it is met by whoever goes along its lane. */
  #queue(job: Job): void {
    if (!this.#groups.covers(job)) this.#lane(job).add(job)
  }

  /** To where it was. Others of its group may have been passed by meanwhile, and come behind it. */
  #putBack(job: Job): void {
    if (groupOf(job) === undefined || !this.#groups.park(job)) this.#lane(job).add(job)
  }

  #take(job: Job): void {
    const lane = this.#lane(job)
    if (lane.head === job) lane.shift()
    else this.#groups.remove(job)
  }

  #unqueue(job: Job): void {
    this.#lane(job).remove(job)
    this.#groups.remove(job)
  }

  #touch(job: Job): void {
    if (this.reading > 0) this.#touched.set(job.id, job)
    if (job.dirty) return
    job.dirty = true
    this.#dirty.push(job)
  }

  #lane({ lane }: Job): Lane {
    return this.#lanes[lane] as Lane
  }

  // ---- managing

  pause(_: Allowed<'change'>, paused: boolean): void {
    if (paused === this.#paused) return
    this.#paused = paused
    this.#mustCarry = true
  }

  limit(_: Allowed<'change'>, limits: QueueLimits): void {
    this.#limits = limits
    this.#mustCarry = true
  }

  /**
   * A dead job waits again, with all its attempts, and for as long as it takes.
   * @returns whether it was dead, and no other job has its key
   */
  redrive(_: Allowed<'change'>, row: JobRow, found: Found, nowMs: number): boolean {
    const job = this.resolve(row)
    if (job.gone || job.lane !== LANES.dead) return false
    const { dedupe } = job.options
    if (dedupe) {
      const state = this.#keys.find(dedupe.key, found)
      if (state === 'clash' || (state && state.id !== job.id && !isFree(state, nowMs))) return false
      this.#takeKey(job, state !== undefined)
    }
    job.attempt = 0
    job.losses = 0
    this.outcomes.reopen(job.id)
    const { ttlMs: _ttlMs, ...options } = job.options
    job.options = options
    // One of a group comes in behind what has been begun of it, and not where it once was.
    if (groupOf(job) === undefined) this.#move(job, LANES.ready, 0)
    else this.#move(job, LANES.scheduled, nowMs)
    return true
  }

  /** What waits for its time, or for another attempt, waits no more. @returns whether it did */
  promote(_: Allowed<'change'>, row: JobRow, nowMs: number): boolean {
    const job = this.resolve(row)
    // One that is due keeps its place: it may have been begun, and others of its group must not go before it.
    const waits = job.due > nowMs || job.until > nowMs
    if (job.gone || job.lane >= CLAIMABLE || this.#held.has(job.id) || !waits) return false
    this.#unqueue(job)
    this.#lost.delete(job.id)
    if (job.until > 0) this.#waitInPlace(job, 0)
    else this.#move(job, LANES.scheduled, nowMs)
    return true
  }

  /** How far the queue has come. */
  snapshot(nowMs: number): Snapshot {
    return [this.#next - 1, this.#token, nowMs]
  }

  /** @returns whether there was something to cancel, and the lease that has ended with it */
  cancel(
    _: Allowed<'change' | 'enqueue'>,
    row: JobRow,
    nowMs: number,
    reason: string | undefined,
  ): { readonly held: Held | undefined } | undefined {
    if (row.lane > LANES.dead) return undefined
    const job = this.resolve(row)
    if (job.gone || job.lane > LANES.dead) return undefined
    const held = this.#held.get(job.id)
    if (held) this.#drop(held)
    else if (job.lane < CLAIMABLE) this.#unqueue(job)
    this.#lost.delete(job.id)
    this.#recount(job)
    this.outcomes.note(job.id, { by: job.by, state: 'cancelled', error: reason })
    this.#end(job, nowMs)
    return { held }
  }

  // ---- what is kept of jobs that are over

  /** The job, if it is at hand. */
  at(id: number): Held | Job | undefined {
    return this.#held.get(id) ?? this.#touched.get(id) ?? this.#lost.get(id)?.job
  }

  /** Where a job may be found by its id alone: ready, or completed and retained until any time that there can be. */
  placesOf(id: number, nowMs: number): Place[] {
    const places: Place[] = []
    for (let lane = 0; lane < WIDTH; lane++) places.push({ lane, due: 0, id })
    for (let due = shelfOf(nowMs); due <= shelfOf(nowMs + LIMITS.retainMs); due += LIMITS.sweepMs)
      places.push({ lane: LANES.completed, due, id })
    return places
  }

  /**
   * Rows of a page whose time is over go, and dead ones that are too many; the others stay.
   * @returns when the first that stays is over; `undefined` if none stays
   */
  sweep(rows: readonly JobRow[], nowMs: number): number | undefined {
    let next: number | undefined
    let excess = this.#rows.in(LANES.dead) - LIMITS.deadJobs
    for (const row of rows) {
      if (row.lane === LANES.keys) {
        const until = countsUntil(row)
        if (until !== undefined && !this.#keys.sweep(row, nowMs) && until > nowMs) next = Math.min(next ?? until, until)
        continue
      }
      const until = row.lane === LANES.dead ? row.due + LIMITS.deadMs : row.due
      const over = until <= nowMs || (row.lane === LANES.dead && excess > 0)
      if (!over) next = Math.min(next ?? until, until)
      else if (this.#forget(this.resolve(row), row.lane)) excess--
    }
    return next
  }

  #forget(job: Job, lane: number): boolean {
    if (job.gone || job.lane !== lane) return false
    this.#recount(job)
    job.gone = true
    this.#touch(job)
    return true
  }

  // ---- the store

  /** The job of a row that was read, as it stands now. */
  resolve(row: JobRow): Job {
    return (
      this.#touched.get(row.id) ??
      this.#held.get(row.id)?.job ??
      this.#lost.get(row.id)?.job ??
      this.#groups.find(row.id) ??
      (row.lane < CLAIMABLE ? this.#lanes[row.lane]?.find(row) : undefined) ??
      jobOf(row)
    )
  }

  /** Rows of a kind of lanes that nobody holds. */
  waitingIn(from: number, to: number): number {
    return this.#rows.between(from, to) - this.#heldRows.between(from, to)
  }

  /** Of a lane those that are held. All of them were due. */
  heldIn(lane: number): number {
    return this.#heldRows.in(lane)
  }

  isHeld(id: number): boolean {
    return this.#held.has(id)
  }

  /** A page of a lane, behind its horizon. */
  #refilled(lane: Lane, rows: readonly JobRow[]): void {
    let bytes = 0
    for (const { body } of rows) bytes += body.length
    const whole = rows.length < LIMITS.laneJobs && bytes + LIMITS.messageBytes <= LIMITS.laneBytes
    const fresh = [...this.#touched.values()].filter(
      (job) =>
        !job.gone &&
        job.lane === lane.number &&
        !this.#held.has(job.id) &&
        lane.find(job) !== job &&
        !this.#groups.covers(job),
    )
    lane.reached(whole ? undefined : (rows.at(-1) as JobRow))
    for (const row of rows) {
      if (this.#touched.has(row.id) || this.#held.has(row.id)) continue
      const job = this.#lost.get(row.id)?.job ?? jobOf(row)
      this.#queue(job)
    }
    for (const job of fresh) lane.add(job)
  }

  /** An answer of the store has been used. */
  read(): void {
    if (--this.reading > 0) return
    this.#touched.clear()
    this.#keys.read()
  }

  /** Everything since the last seal as one commit. */
  seal(nowMs: number): Sealed {
    const put: JobRow[] = []
    const move: QueueCommit['move'][number][] = []
    const remove: Place[] = []
    for (const job of this.#dirty) {
      job.dirty = false
      const { stored, gone, id, lane, due, body } = job
      if (gone) {
        if (stored) {
          remove.push(stored)
          this.#rows.add(stored.lane, -1)
          this.#uncarried(stored)
        }
        job.stored = undefined
        continue
      }
      if (stored || job.turn > 0) rewrite(job)
      const place = { lane, due, id }
      if (lane >= WIDTH) this.#uncarried(place)
      if (stored) {
        move.push({ from: stored, to: place, head: job.head, ...(job.newBody && { body }) })
        this.#rows.add(stored.lane, -1)
      } else put.push({ lane, due, id, head: job.head, body })
      this.#rows.add(lane, 1)
      job.stored = place
      job.newBody = false
    }
    this.#keys.seal(put, move, remove)
    const claims = this.#claims.filter(({ held }) => held.size > 0)
    const facts = [...this.#seal(nowMs), ...this.schedules.seal()]
    const bytes = this.#putBytes
    this.#putBytes = 0
    this.#tickCount = 0
    this.#dirty = []
    this.#claims = []
    return { write: { put, move, remove, facts }, claims, bytes }
  }

  /** What was given back of the claim that was written there is not written down as held any more. */
  #overwritten(slot: number): void {
    for (const id of this.#backBySlot.get(slot) ?? []) if (this.#back.get(id)?.slot === slot) this.#notBack(id)
    this.#backBySlot.delete(slot)
  }

  /** A row from which a mark would be learned leaves the lanes that are in the order of ids, or never comes there. */
  #uncarried({ id }: Place): void {
    if (id >= this.#carriedNext) this.#mustCarry = true
  }

  /** Leases that are new or longer; with each of them goes what waking must know, which is a row of its own only where there is none. */
  #seal(nowMs: number): (readonly [string, string])[] {
    const facts: (readonly [string, string])[] = []
    if (this.#dirtyClaims.size === 0 && !this.#mustCarry) return facts
    if (this.#changed.size > LIMITS.carriedMarks || this.#publishers.crowded) {
      for (const key of this.#publishers.prune(nowMs, this.#next)) this.#changed.add(key)
      facts.push(...writeMarks(this.#publishers, this.#changed))
      this.#changed = new Set()
    }
    this.#given = this.#rates.write() ?? this.#given
    for (const { slot } of this.#dirtyClaims) this.#overwritten(slot)
    const state: Carried = {
      count: ++this.#carryCount,
      next: this.#next,
      token: this.#token,
      paused: this.#paused,
      limits: this.#limits,
      given: this.#given,
      marks: marksOf(this.#publishers, this.#changed),
      rows: this.#rows.less(this.#heldRows, this.#backRows),
    }
    this.#carriedNext = this.#next
    this.#mustCarry = false
    if (this.#dirtyClaims.size === 0) facts.push([STATE, JSON.stringify(state)])
    let carried: Carried | undefined = state
    for (const claim of this.#dirtyClaims) {
      facts.push(leaseFact(claim, carried))
      carried = undefined
    }
    this.#dirtyClaims.clear()
    return facts
  }
}

/** Jobs that are done lie on few shelves, by when they may go, so that one can be found by its id. */
const shelfOf = (untilMs: number): number => Math.ceil(untilMs / LIMITS.sweepMs) * LIMITS.sweepMs

const isGone = ({ gone }: Job): boolean => gone

/** The one whose rate is that of the queue. */
const ALL = ''

interface Kind {
  /** What is kept of the options, and its text. */
  readonly options: JobOptions
  readonly text: string
  readonly delayMs: number
  readonly runAt: number | undefined
}

interface Arrival {
  readonly body: string
  readonly by: string
  readonly byText: string
  readonly sequence: number
  readonly nowMs: number
}

const NO_OPTIONS: JobOptions = {}
const NOTHING = new Found([])
type Dedupe = NonNullable<JobOptions['dedupe']>

/** Whether the store has to be asked before a frame can be accepted. */
export function isKeyed({ options, each }: EnqueueParams): boolean {
  return options?.dedupe !== undefined || (each?.some((own) => own?.dedupe !== undefined) ?? false)
}

function dedupesOf({ options, each }: EnqueueParams, count: number): Dedupe[] {
  if (!each) return options?.dedupe && count > 0 ? [options.dedupe] : []
  return each.flatMap((own) => own?.dedupe ?? options?.dedupe ?? [])
}

/** What was asked for while there was no network has waited already. */
function kindOf({ delayMs = 0, runAt, askedAt, ...options }: JobOptions, sentAt = askedAt): Kind {
  if (askedAt === undefined || sentAt === undefined || sentAt <= askedAt)
    return { options, text: JSON.stringify(options), delayMs, runAt }
  const left = (ms: number): number => Math.max(0, ms - sentAt + askedAt)
  const { ttlMs } = options
  return kindOf({ ...options, delayMs: left(delayMs), ...(runAt && { runAt }), ...(ttlMs && { ttlMs: left(ttlMs) }) })
}
