import { encodeResult } from '../protocol/answers.ts'
import { type Fault, fault } from '../protocol/error-codes.ts'
import type { CountsResult, JobFacts, QueueParams } from '../protocol/frames/queue.ts'
import { LIMITS } from '../protocol/limits.ts'
import { encodeList } from '../protocol/queue-answers.ts'
import type { QueueRequest } from '../protocol/queue-requests.ts'
import type { JobRow, LaneCount, Place } from '../store/queue-store.ts'
import type { Allowance } from './allowance.ts'
import { beforeFirst, inState, isMeant, lanesOf, matches } from './filter.ts'
import { CLAIMABLE, groupOf, isBy, type Job, LANES } from './job.ts'
import type { Held, Jobs } from './jobs.ts'
import { Found } from './keys.ts'
import type { Identity } from './machine.ts'
import { nameIn } from './pulls.ts'
import type { Answering, QueueEffect, QueueQuery } from './queue-machine.ts'
import { answer, answerError, FULL, PAGES } from './replies.ts'
import { type Allowed, authorize } from './rights.ts'
import { type Known, pageOfWorkers } from './roster.ts'
import { callSchedules, type ScheduleCall } from './schedule-calls.ts'

/** A link, as far as it matters to who asks on it. */
export interface Caller {
  identity: Identity
  /** Pages need no credit, so whoever asks and never reads would make the socket a buffer without a bound. */
  readonly pages: Allowance
}

/** What a desk needs of its queue. */
export interface DeskHost {
  readonly jobs: Jobs
  link(link: number): Caller | undefined
  /** Every worker that is known, also those that have gone. */
  workers(nowMs: number): readonly Known[]
  isFull(): boolean
  /** Answer when the store has been asked, unless the link is gone by then. */
  later(link: number, id: number, query: QueueQuery, use: Answering): QueueEffect[]
  /** Answer once all that was decided so far is durable. */
  reply(link: number, id: number, result: object): QueueEffect[]
  /** What is seen in memory is told when the store has it, too. */
  tell(link: number, text: string): QueueEffect[]
  /** Leases have ended by it; their workers are told. */
  cancelled(ended: readonly Held[], reason: string | undefined): QueueEffect[]
}

type DeskRequest = Exclude<
  QueueRequest,
  {
    readonly method: 'hello' | 'authenticate' | 'enqueue' | 'work' | 'claim' | 'settle' | 'report' | 'watch' | 'unwatch'
  }
>

/** A page to be shown, and of jobs that are held by whom. */
interface Shown {
  readonly found: readonly Job[]
  readonly next: readonly [number, number, number] | undefined
  readonly who?: ReadonlyMap<number, { readonly worker: string; readonly untilMs: number }>
}

/**
 * What may be asked of a queue, and done to it, by those who look after it: counts, lists, workers, and all that changes many jobs or the queue
 * itself. It decides who may; what it finds in the store it asks for through the queue, and all that happens to jobs is theirs.
 */
export class Desk {
  readonly #host: DeskHost

  constructor(host: DeskHost) {
    this.#host = host
  }

  take(link: number, from: Caller, frame: DeskRequest, nowMs: number): QueueEffect[] {
    const { id } = frame
    switch (frame.method) {
      case 'counts':
        return this.#counts(link, from, id, nowMs)
      case 'workers':
        return this.#who(link, from, id, frame.params, nowMs)
      case 'list':
        return this.#list(link, from, id, frame.params, nowMs)
      case 'redrive':
        return this.#redrive(link, from, id, frame.params, nowMs)
      case 'cancel':
        return this.#cancel(link, from, id, frame.params)
      case 'promote':
        return this.#promote(link, from, id, frame.params)
      case 'bulk':
        return this.#bulk(link, from, id, frame.params, nowMs)
      case 'pause':
        return this.#pause(link, from, id, frame.params)
      case 'limit':
        return this.#limit(link, from, id, frame.params)
      default:
        return this.#schedule(link, from, frame, nowMs)
    }
  }

  #counts(link: number, { identity }: Caller, id: number, nowMs: number): QueueEffect[] {
    const may = authorize(identity, 'view')
    if ('code' in may) return answerError(link, id, may)
    const jobs = this.#host.jobs
    // All the others are known. How many are due is not, but it is read no further than it is counted.
    const lanes = upTo(LANES.scheduled, CLAIMABLE).filter((lane) => jobs.waitingIn(lane, lane + 1) > 0)
    const query: QueueQuery = { what: 'count', nowMs, lanes, most: LIMITS.countedJobs }
    return this.#host.later(link, id, query, (_, counts) => answer(link, id, this.#countsOf(counts)))
  }

  #who(
    link: number,
    { identity, pages }: Caller,
    id: number,
    asked: QueueParams<'workers'>,
    nowMs: number,
  ): QueueEffect[] {
    const may = authorize(identity, 'view')
    if ('code' in may) return answerError(link, id, may)
    if (pages.exhausted(nowMs)) return answerError(link, id, PAGES)
    const all = this.#host.workers(nowMs)
    const text = encodeResult(id, pageOfWorkers(may, all, this.#host.jobs.held, asked))
    pages.spend(text.length)
    return this.#host.tell(link, text)
  }

  #countsOf(counts: readonly LaneCount[]): CountsResult {
    const jobs = this.#host.jobs
    // A clock that was put back takes some of what is held for not due.
    const due = counts.map((one) => {
      const waiting = jobs.waitingIn(one.lane, one.lane + 1)
      return { lane: one.lane, count: Math.max(0, Math.min(waiting, one.due - jobs.heldIn(one.lane))) }
    })
    const dueIn = (from: number, to: number): number =>
      due.reduce((sum, { lane, count }) => sum + (lane >= from && lane < to ? count : 0), 0)
    const [scheduled, retrying] = [dueIn(LANES.scheduled, LANES.retrying), dueIn(LANES.retrying, CLAIMABLE)]
    return {
      ready: jobs.waitingIn(LANES.ready, LANES.scheduled) + scheduled + retrying,
      scheduled: jobs.waitingIn(LANES.scheduled, LANES.retrying) - scheduled,
      retrying: jobs.waitingIn(LANES.retrying, CLAIMABLE) - retrying,
      active: jobs.leaseCount,
      dead: jobs.waitingIn(LANES.dead, LANES.dead + 1),
      completed: jobs.waitingIn(LANES.completed, LANES.completed + 1),
      paused: jobs.paused,
    }
  }

  #list(link: number, from: Caller, id: number, params: QueueParams<'list'>, nowMs: number): QueueEffect[] {
    const may = authorize(from.identity, 'view')
    if ('code' in may) return answerError(link, id, may)
    if (from.pages.exhausted(nowMs)) return answerError(link, id, PAGES)
    const { state, limit, after, filter } = params
    if (filter?.text !== undefined && 'code' in authorize(from.identity, 'peek')) return answerError(link, id, HIDDEN)
    if (state === 'active') return this.#listActive(link, id, params)
    const [first, end] = lanesOf(state)
    if (after && (after[0] < first || after[0] >= end)) return answerError(link, id, ELSEWHERE)
    // What is filtered is read in larger pieces than it is asked for.
    const bounds = { maxJobs: filter ? LIMITS.laneJobs : limit, maxBytes: LIMITS.pageBytes }
    const page = (lane: number, behind = beforeFirst(state, nowMs)): QueueEffect[] =>
      this.#host.later(link, id, { what: 'page', lane, after: behind, bounds }, (read) => {
        const rows = inState(read, state, nowMs)
        const next = this.#nextLane(lane, state)
        if (rows.length === 0 && next < end) return page(next)
        return this.#listed(link, id, rows, params)
      })
    return after ? page(after[0], { due: after[1], id: after[2] }) : page(first)
  }

  /** Of lanes in which jobs wait for their time few hold one that is ready, and most hold none. */
  #nextLane(lane: number, state: string | undefined): number {
    let next = lane + 1
    const skips = (): boolean => state === 'ready' && next >= LANES.scheduled && next < CLAIMABLE
    while (skips() && this.#host.jobs.waitingIn(next, next + 1) === 0) next++
    return next
  }

  #listed(link: number, id: number, rows: readonly JobRow[], { filter, limit }: QueueParams<'list'>): QueueEffect[] {
    const found: Job[] = []
    let last: JobRow | undefined
    for (const row of rows) {
      if (found.length === limit) break
      last = row
      const job = this.#host.jobs.resolve(row)
      if (!job.gone && !this.#host.jobs.isHeld(row.id) && matches(job, filter)) found.push(job)
    }
    return this.#show(link, id, { found, next: last && [last.lane, last.due, last.id] })
  }

  /** Those that are held, by their ids. */
  #listActive(link: number, id: number, { filter, limit, after }: QueueParams<'list'>): QueueEffect[] {
    const behind = after?.[2] ?? 0
    const all = [...this.#host.jobs.held].filter(({ job }) => job.id > behind && matches(job, filter))
    const found: Held[] = []
    let chars = 0
    for (const held of all.sort((a, b) => a.job.id - b.job.id)) {
      chars += held.job.body.length
      if (found.length === limit || (found.length > 0 && chars > LIMITS.pageBytes)) break
      found.push(held)
    }
    const last = found.length < all.length ? found.at(-1) : undefined
    const next = last && ([0, 0, last.job.id] as const)
    const who = new Map(found.map(({ job, claim, untilMs }) => [job.id, { worker: nameIn(claim.worker), untilMs }]))
    return this.#show(link, id, { found: found.map(({ job }) => job), next, who })
  }

  #show(link: number, id: number, { found, next, who }: Shown): QueueEffect[] {
    const from = this.#host.link(link)
    if (!from) return []
    // The right may have been taken away while the page was read.
    const may = authorize(from.identity, 'view')
    if ('code' in may) return answerError(link, id, may)
    const shown = !('code' in authorize(from.identity, 'peek'))
    const jobs = found.map((job): JobFacts => {
      const { at, due, until, attempt, losses, error, extra } = job
      const group = groupOf(job)
      const more = { ...(error !== undefined && { error }), ...(group !== undefined && { group }), ...who?.get(job.id) }
      const facts = { id: job.id, enqueuedAt: at, dueAt: Math.max(due, until), attempt, losses, ...more }
      return shown && extra ? { ...facts, result: extra.result, log: extra.log && [...extra.log] } : facts
    })
    const text = encodeList(
      id,
      { jobs, ...(next && { next }) },
      found.map(({ body }) => (shown ? body : 'null')),
    )
    from.pages.spend(text.length)
    return this.#host.tell(link, text)
  }

  #promote(link: number, from: Caller, id: number, { ids }: QueueParams<'promote'>): QueueEffect[] {
    const asked = authorize(from.identity, 'change')
    if ('code' in asked) return answerError(link, id, asked)
    return this.#host.later(link, id, { what: 'find', ids }, (rows, _, at) => {
      const may = authorize(from.identity, 'change')
      if ('code' in may) return answerError(link, id, may)
      return this.#host.reply(link, id, {
        promoted: rows.filter((row) => this.#host.jobs.promote(may, row, at)).length,
      })
    })
  }

  /** One piece: what one page of the store has. */
  #bulk(link: number, from: Caller, id: number, params: QueueParams<'bulk'>, nowMs: number): QueueEffect[] {
    const { action, state, filter, after, snapshot = this.#host.jobs.snapshot(nowMs) } = params
    const asked = authorize(from.identity, 'change')
    if ('code' in asked) return answerError(link, id, asked)
    if (filter?.text !== undefined && 'code' in authorize(from.identity, 'peek')) return answerError(link, id, HIDDEN)
    const acted = action === 'cancel' ? state : ACTS_ON[action]
    const [first, end] = lanesOf(acted)
    if (after && (after[0] < first || after[0] >= end)) return answerError(link, id, ELSEWHERE)
    const piece = (lane: number, behind = beforeFirst(acted, snapshot[2])): QueueEffect[] =>
      this.#host.later(link, id, { what: 'page', lane, after: behind, bounds: lanePage() }, (read, _, at) => {
        const rows = inState(read, acted, snapshot[2])
        const may = authorize(from.identity, 'change')
        if ('code' in may) return answerError(link, id, may)
        const last = rows.at(-1)
        const nextLane = this.#nextLane(lane, acted)
        if (!last && nextLane < end) return piece(nextLane)
        const isOne = (row: JobRow): boolean => {
          const job = this.#host.jobs.resolve(row)
          return isMeant(job, snapshot) && matches(job, filter)
        }
        const next = last && { next: [last.lane, last.due, last.id] }
        if (action === 'redrive')
          return this.#redriveAll(link, from, id, rows.filter(isOne), at, (count) =>
            this.#host.reply(link, id, { count, snapshot, ...next }),
          )
        const { count, effects } = this.#act(may, action, rows.filter(isOne), at)
        return [...effects, ...this.#host.reply(link, id, { count, snapshot, ...next })]
      })
    return after ? piece(after[0], { due: after[1], id: after[2] }) : piece(first)
  }

  #act(
    may: Allowed<'change'>,
    action: 'promote' | 'retry' | 'cancel',
    rows: readonly JobRow[],
    nowMs: number,
  ): { readonly count: number; readonly effects: readonly QueueEffect[] } {
    if (action === 'cancel') return this.#cancelAll(may, rows, nowMs)
    return { count: rows.filter((row) => this.#host.jobs.promote(may, row, nowMs)).length, effects: [] }
  }

  #redrive(link: number, from: Caller, id: number, params: QueueParams<'redrive'>, nowMs: number): QueueEffect[] {
    const { ids, after, snapshot = this.#host.jobs.snapshot(nowMs) } = params
    const asked = authorize(from.identity, 'change')
    if ('code' in asked) return answerError(link, id, asked)
    const redriven = (count: number): QueueEffect[] => this.#host.reply(link, id, { redriven: count, more: false })
    if (ids)
      return this.#host.later(link, id, { what: 'find', ids }, (rows, _, at) =>
        this.#redriveAll(link, from, id, rows, at, redriven),
      )
    if (after && after[0] !== LANES.dead) return answerError(link, id, ELSEWHERE)
    const isOne = (row: JobRow): boolean => isMeant(this.#host.jobs.resolve(row), snapshot)
    const dead = (behind: Pick<Place, 'due' | 'id'> | undefined, most?: number): QueueQuery => {
      const { maxJobs, maxBytes } = lanePage()
      return { what: 'page', lane: LANES.dead, after: behind, bounds: { maxJobs: most ?? maxJobs, maxBytes } }
    }
    return this.#host.later(link, id, dead(after && { due: after[1], id: after[2] }), (rows, _, at) =>
      this.#redriveAll(link, from, id, rows.filter(isOne), at, (count) => {
        const last = rows.at(-1)
        if (!last) return redriven(count)
        // What has died again since lies behind them, too, and is not meant.
        return this.#host.later(link, id, dead(last, 1), ([behind]) => {
          if (!behind || !isOne(behind)) return redriven(count)
          const next = [last.lane, last.due, last.id]
          return this.#host.reply(link, id, { redriven: count, more: true, snapshot, next })
        })
      }),
    )
  }

  /** Once the keys that they want to have again are known. */
  #redriveAll(
    link: number,
    from: Caller,
    id: number,
    rows: readonly JobRow[],
    nowMs: number,
    done: (count: number) => QueueEffect[],
  ): QueueEffect[] {
    const redrive = (found: Found, atMs: number): QueueEffect[] => {
      // The right may have been taken away while the store was asked.
      const may = authorize(from.identity, 'change')
      if ('code' in may) return answerError(link, id, may)
      const redriven = [...found.jobs.values()].filter((row) => this.#host.jobs.redrive(may, row, found, atMs))
      return done(redriven.length)
    }
    const keys = this.#host.jobs.keysOf(rows)
    if (keys.length === 0) return redrive(new Found(rows), nowMs)
    const places = [...rows.map(({ lane, due, id: job }) => ({ lane, due, id: job })), ...keys]
    return this.#host.later(link, id, { what: 'get', places }, (again, _, atMs) => redrive(new Found(again), atMs))
  }

  #cancel(link: number, from: Caller, id: number, { ids, reason }: QueueParams<'cancel'>): QueueEffect[] {
    const asked = cancelable(from.identity)
    if ('code' in asked) return answerError(link, id, asked)
    return this.#host.later(link, id, { what: 'find', ids }, (rows, _, nowMs) => {
      const may = cancelable(from.identity)
      if ('code' in may) return answerError(link, id, may)
      const all = !('code' in authorize(from.identity, 'change'))
      const theirs = rows.filter((row) => all || isBy(this.#host.jobs.resolve(row).by, from.identity))
      const { count, effects } = this.#cancelAll(may, theirs, nowMs, reason)
      return [...effects, ...this.#host.reply(link, id, { cancelled: count })]
    })
  }

  #cancelAll(
    may: Allowed<'change' | 'enqueue'>,
    rows: readonly JobRow[],
    nowMs: number,
    reason?: string,
  ): { readonly count: number; readonly effects: readonly QueueEffect[] } {
    const ended: Held[] = []
    let count = 0
    for (const row of rows) {
      const done = this.#host.jobs.cancel(may, row, nowMs, reason)
      if (!done) continue
      count++
      if (done.held) ended.push(done.held)
    }
    return { count, effects: this.#host.cancelled(ended, reason) }
  }

  #pause(link: number, { identity }: Caller, id: number, { paused }: QueueParams<'pause'>): QueueEffect[] {
    const may = authorize(identity, 'change')
    if ('code' in may) return answerError(link, id, may)
    this.#host.jobs.pause(may, paused)
    return this.#host.reply(link, id, {})
  }

  #limit(link: number, { identity }: Caller, id: number, { concurrency, rate }: QueueParams<'limit'>): QueueEffect[] {
    const may = authorize(identity, 'change')
    if ('code' in may) return answerError(link, id, may)
    this.#host.jobs.limit(may, { concurrency, rate })
    return this.#host.reply(link, id, {})
  }

  #schedule(link: number, { identity, pages }: Caller, call: ScheduleCall, nowMs: number): QueueEffect[] {
    if (this.#host.isFull()) return answerError(link, call.id, FULL)
    const page = call.method === 'schedules'
    if (page && pages.exhausted(nowMs)) return answerError(link, call.id, PAGES)
    const result = callSchedules(this.#host.jobs, identity, call, nowMs)
    if ('code' in result) return answerError(link, call.id, result)
    if (page) pages.spend(JSON.stringify(result).length)
    return this.#host.reply(link, call.id, result)
  }
}

const HIDDEN = fault('forbidden', 'text: who searches payloads needs the right to look at them')
const ELSEWHERE = fault('bad_params', 'after: not a place among these')
const ACTS_ON = { redrive: 'dead', promote: 'scheduled', retry: 'retrying' } as const
const lanePage = () => ({ maxJobs: LIMITS.laneJobs, maxBytes: LIMITS.laneBytes })
const upTo = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i)

/** Whoever may change the queue cancels any job, and who may enqueue those of their own. */
function cancelable(identity: Identity): Allowed<'change' | 'enqueue'> | Fault {
  const may = authorize(identity, 'change')
  return 'code' in may ? authorize(identity, 'enqueue') : may
}
