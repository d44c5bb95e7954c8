import { encodeResult } from '../protocol/answers.ts'
import { encodeNotification } from '../protocol/codec.ts'
import { type Fault, fault } from '../protocol/error-codes.ts'
import type { Fate } from '../protocol/frames/publish.ts'
import type { Lease, QueueParams, WatchedJob } from '../protocol/frames/queue.ts'
import type { About } from '../protocol/frames/workers.ts'
import { LIMITS } from '../protocol/limits.ts'
import { encodeClaimed, encodeJobs, NOTHING } from '../protocol/queue-answers.ts'
import type { EnqueueRequest, QueueRequest } from '../protocol/queue-requests.ts'
import type { BadRequest } from '../protocol/requests.ts'
import type { JobRow, LaneCount, Place } from '../store/queue-store.ts'
import { StoreFull } from '../store/store.ts'
import { Allowance } from './allowance.ts'
import type { Need } from './groups.ts'
import { CLAIMABLE, deliveryOf, isBy, type Job, LANES } from './job.ts'
import { type Claim, type Held, isKeyed, Jobs } from './jobs.ts'
import { tooOften } from './journal.ts'
import { Found } from './keys.ts'
import type { Identity, Rate } from './machine.ts'
import type { News } from './outcomes.ts'
import { firstOversized } from './oversized.ts'
import { Publishers } from './publishers.ts'
import { isPull, nameIn, type Pull, Pulls, pullKey } from './pulls.ts'
import { type Caller, Desk } from './queue-desk.ts'
import type { Recovered } from './queue-facts.ts'
import type { Answering, PullState, QueueEffect, QueueEvent, QueueLinkState, QueueQuery } from './queue-machine.ts'
import { answer, answerError, busy, expired, FULL, farewell, greeting, PAGES } from './replies.ts'
import { authorize } from './rights.ts'
import { Gone, hasEnded, type Known } from './roster.ts'
import { isTick, tickOf } from './schedules.ts'

export interface QueueOptions {
  readonly queue: string
  /** Beat of the heartbeat that the home answers, if its links can be half open. */
  readonly heartbeatMs?: number
  /** 0 ≤ salt < 1, drawn anew for each life: by it jobs that failed together come back apart. */
  readonly salt: number
  /** Whether acks that nobody waits for may wait a moment for a commit to go with, after a `linger`. */
  readonly lingers?: boolean
}

interface Link extends Caller {
  greeted: boolean
  faultCount: number
  /** Questions of it that wait for the store. */
  readCount: number
  /** What its handlers report is written nowhere, so it is bounded here. */
  readonly reports: Allowance
  /** What its workers say of themselves. */
  about: About | undefined
}

/** Somebody who takes jobs. It outlives its link for a while. */
interface Worker extends Known {
  leaseMs: number
}

interface Answer {
  readonly link: number
  readonly text: string
}

interface InFlight {
  readonly bytes: number
  readonly answers: readonly Answer[]
  readonly claims: readonly Claim[]
}

/** Something to ask the store once all that was decided so far has been handed to it. */
interface Question {
  readonly query: QueueQuery
  readonly use: Answering
}

const MOST_ROUNDS = 8
/** More of their frames are worth a commit of their own. */
const LINGERING = 8
const NEVER = Number.POSITIVE_INFINITY

/**
 * The home of one queue: takes jobs in, gives them to workers, one lease at a time, and hears what became of them. At most one commit is
 * in flight; what arrives until it is durable forms the next one. Jobs are given away when a commit is sealed, so a job that comes
 * while a worker has room is written and leased in one go, and nobody hears of a lease or of an end that is not durable.
 */
export class Queue {
  readonly #options: QueueOptions
  readonly #epoch: string
  readonly #jobs: Jobs
  readonly #desk: Desk
  readonly #links = new Map<number, Link>()
  readonly #workers = new Map<string, Worker>()
  readonly #gone = new Gone<Worker>()
  readonly #pulls = new Pulls()
  readonly #questions: Question[] = []
  readonly #readers = new Map<number, Question['use']>()
  #refilling = false
  #readCount = 0
  /** Frames of publishers that wait until the store was asked for keys, in order, and how much is in them. */
  readonly #waiting = new Map<string, WaitingFrame[]>()
  #waitingBytes = 0

  #answers: Answer[] = []
  #owedBytes = 0
  #inFlight: InFlight | undefined
  #commitCount = 0
  /** Who is given a job first, so that it is not always the same one. */
  #round = 0
  #wakeAt = NEVER
  /** No token of a link ends before. */
  #expiresAt = NEVER
  /** When it was last looked for what is kept no longer; not in this life yet. */
  #sweptAt: number | undefined
  #wokenAt: number
  #failed = false
  /** Somebody comes back soon with `due`. */
  #lingering = false
  /** Who is told by the next commit waits for it. */
  #awaited = false

  constructor(recovered: Recovered, options: QueueOptions, nowMs: number) {
    this.#options = options
    this.#epoch = recovered.epoch
    this.#wokenAt = nowMs
    this.#jobs = new Jobs(recovered, nowMs)
    this.#desk = new Desk({
      jobs: this.#jobs,
      link: (link) => this.#links.get(link),
      workers: (at) => [...this.#workers.values(), ...this.#gone.all(at)],
      isFull: () => this.#full(0),
      later: (...asked) => this.#later(...asked),
      reply: (...said) => this.#reply(...said),
      tell: (...said) => this.#tell(...said),
      cancelled: (ended, reason) => {
        for (const held of ended) this.#ended(held, () => {})
        return this.#lost(ended, 'cancelled', reason).map(({ link, text }) => ({ name: 'send', links: [link], text }))
      },
    })
    for (const { claim } of this.#jobs.held) if (!isPull(claim.worker)) this.#holder(claim, nowMs).holding++
  }

  step(event: QueueEvent, nowMs: number): readonly QueueEffect[] {
    if (this.#failed) return []
    const effects = [...this.#take(event, nowMs)]
    if (this.#failed) return effects
    if (event.name === 'due') {
      this.#lingering = false
      this.#awaited = true
    }
    // Links that outlived our memory come back one after the other. Nobody is told anything, or given a job, before all of them are here:
    // what brought them back comes next.
    if (event.name !== 'opened') this.#rest(effects, nowMs)
    this.#alarm(effects, nowMs)
    return effects
  }

  #take(event: QueueEvent, nowMs: number): readonly QueueEffect[] {
    switch (event.name) {
      case 'opened':
        return this.#opened(event.link, event.state, nowMs)
      case 'closed':
        this.#forget(event.link, nowMs, event.left)
        return []
      case 'frame':
        return this.#frame(event.link, event.frame, nowMs)
      case 'durable':
        return this.#durable()
      case 'commit-failed':
      case 'read-failed':
        return this.#fail(event.error)
      case 'jobs-read':
        return this.#read(event.reader, event.rows, [], nowMs)
      case 'counted':
        return this.#read(event.reader, [], event.lanes, nowMs)
      case 'verified':
        return this.#verified(event.link, event.id, event.identity, nowMs)
      case 'judged':
        return this.#judged(event.link, event.identity, nowMs)
      case 'due':
        return this.#due(nowMs)
    }
  }

  /** What follows from events: leases that have ended, jobs for who has room, a commit, a question. */
  #rest(effects: QueueEffect[], nowMs: number): void {
    const jobs = this.#jobs
    // An alarm may be lost: whatever comes after its time does what it would have done.
    if (nowMs >= this.#wakeAt) effects.push(...this.#due(nowMs))
    if (nowMs >= jobs.nextDeadline) this.#overdue(nowMs)
    if (!this.#full(0)) jobs.tick(nowMs)
    if (!this.#inFlight) {
      this.#deal(nowMs)
      if (!this.#refilling)
        for (const { link, id } of this.#pulls.inVain())
          effects.push({ name: 'send', links: [link], text: encodeClaimed(id, NOTHING, []) })
      const news = jobs.outcomes.take()
      for (const one of news) this.#tellOutcome(one)
      this.#awaited ||= news.length > 0
      if (this.#mayLinger) {
        if (!this.#lingering) effects.push({ name: 'linger' })
        this.#lingering = true
      } else if (!jobs.empty) effects.push(this.#commit(nowMs))
      else {
        // What was waited for is there, and acks to come are waited for by nobody.
        this.#awaited = false
        for (const { link, text } of this.#answers.splice(0)) effects.push(this.#owed(link, text))
      }
    }
    // Only now nothing is decided that the store has not been told.
    if (jobs.empty) for (const question of this.#questions.splice(0)) effects.push(this.#ask(question))
  }

  /**
   * Acks alone, for which no job is given away and nobody is told anything but that they were heard, go with whatever is written next: so a
   * job that comes meanwhile does not stand behind them.
   */
  get #mayLinger(): boolean {
    return (
      this.#options.lingers === true &&
      !this.#awaited &&
      this.#questions.length === 0 &&
      this.#answers.length <= LINGERING &&
      this.#jobs.hasOnlyEnds
    )
  }

  // ---- links

  #opened(
    link: number,
    { identity, greeted, workers, pulls = [], watching = [], about }: QueueLinkState,
    nowMs: number,
  ): QueueEffect[] {
    const pages = new Allowance(LIMITS.historyBytes, LIMITS.historyBytesPerSecond)
    const reports = new Allowance(LIMITS.reportBytes, LIMITS.reportBytesPerSecond)
    this.#links.set(link, { identity, greeted, faultCount: 0, readCount: 0, pages, reports, about })
    this.#expiresAt = Math.min(this.#expiresAt, identity.expiresAt ?? NEVER)
    if (expired(identity, nowMs)) return this.#expel(link, null, fault('token_expired'), nowMs)
    if (workers.length + pulls.length > 0 && 'code' in authorize(identity, 'work'))
      return this.#expel(link, null, fault('access_changed'), nowMs)
    for (const { name, capacity, leaseMs, quiet = false, since = nowMs } of workers) {
      const worker = this.#worker(identity, name, nowMs)
      Object.assign(worker, { link, capacity, leaseMs, quiet, about, sinceMs: Math.min(worker.sinceMs, since) })
    }
    for (const { id, name, count, leaseMs } of pulls)
      this.#pull(link, identity, { id, name, count, leaseMs, wait: true })
    if (watching.length === 0) return []
    // What is over before they ask again is told to them all the same.
    for (const job of watching) this.#jobs.outcomes.watch(link, job)
    const { queue } = this.#options
    return [{ name: 'send', links: [link], text: encodeNotification('forgot', { queue }) }]
  }

  #forget(link: number, nowMs: number, left = false): void {
    this.#links.delete(link)
    this.#pulls.forget(link)
    this.#jobs.outcomes.unwatch(link)
    for (const worker of this.#workersOf(link)) {
      worker.link = undefined
      worker.goneAt = nowMs
      if (worker.holding === 0) {
        this.#workers.delete(worker.key)
        if (!left) this.#gone.add(worker)
      }
      // Nobody is waited for who will not come back, and nothing has happened to their jobs.
      else if (left) this.#reconcile(worker, [])
    }
  }

  #workersOf(link: number): Worker[] {
    return [...this.#workers.values()].filter((worker) => worker.link === link)
  }

  #remember(link: number): QueueEffect[] {
    const known = this.#links.get(link)
    if (!known) return []
    const workers = this.#workersOf(link).map(({ name, capacity, leaseMs, quiet, sinceMs }) => {
      return { name, capacity, leaseMs, since: sinceMs, ...(quiet && { quiet }) }
    })
    const pulls = this.#pulls.stateOf(link)
    const watching = this.#jobs.outcomes.watchedBy(link).slice(-LIMITS.keptWatches)
    const { identity, greeted, about } = known
    const more = {
      ...(pulls.length > 0 && { pulls }),
      ...(watching.length > 0 && { watching }),
      ...(about && { about }),
    }
    return [{ name: 'remember', link, state: { identity, greeted, workers, ...more } }]
  }

  #expel(link: number, id: number | null, reason: Fault, nowMs: number): QueueEffect[] {
    this.#forget(link, nowMs)
    return farewell(link, id, reason)
  }

  #fail(error: unknown): QueueEffect[] {
    const reason = fault(error instanceof StoreFull ? 'store_full' : 'commit_failed')
    this.#failed = true
    return [...[...this.#links.keys()].flatMap((link) => farewell(link, null, reason)), { name: 'failed', error }]
  }

  // ---- frames

  #frame(link: number, frame: QueueRequest | BadRequest, nowMs: number): readonly QueueEffect[] {
    const from = this.#links.get(link)
    if (!from) return []
    if (expired(from.identity, nowMs)) return this.#expel(link, null, fault('token_expired'), nowMs)
    if ('fault' in frame) return this.#misunderstood(link, from, frame, nowMs)
    const { id } = frame
    if (!from.greeted && frame.method !== 'hello') return this.#expel(link, id, fault('hello_needed'), nowMs)
    if ('queue' in frame.params && frame.params.queue !== this.#options.queue)
      return answerError(link, id, fault('wrong_queue'))
    switch (frame.method) {
      case 'hello':
        return this.#hello(link, from, id, frame.params, nowMs)
      case 'authenticate':
        return [{ name: 'verify', link, id, token: frame.params.token }]
      case 'enqueue':
        return this.#enqueue(link, from, frame, nowMs)
      case 'work':
        return this.#work(link, from, id, frame.params, nowMs)
      case 'claim':
        return this.#claim(link, from, id, frame.params)
      case 'settle':
        return this.#settle(link, from, id, frame.params, nowMs)
      case 'report':
        return this.#report(link, from, id, frame.params, nowMs)
      case 'watch':
        return this.#watch(link, from, id, frame.params, nowMs)
      case 'unwatch':
        this.#jobs.outcomes.unwatch(link, frame.params.ids)
        return [...answer(link, id, {}), ...this.#remember(link)]
      default:
        return this.#desk.take(link, from, frame, nowMs)
    }
  }

  #misunderstood(link: number, from: Link, { id, fault: wrong }: BadRequest, nowMs: number): QueueEffect[] {
    if (wrong.code === 'frame_too_large') return this.#expel(link, id, wrong, nowMs)
    if (++from.faultCount > LIMITS.faultsPerLink) return this.#expel(link, null, fault('too_many_faults'), nowMs)
    return answerError(link, id, wrong)
  }

  #hello(link: number, from: Link, id: number, { versions }: QueueParams<'hello'>, nowMs: number): QueueEffect[] {
    const result = greeting(versions, from.identity, { nowMs, heartbeatMs: this.#options.heartbeatMs })
    if ('code' in result) return this.#expel(link, id, result, nowMs)
    from.greeted = true
    return [...answer(link, id, result), ...this.#remember(link)]
  }

  #verified(link: number, id: number, identity: Identity | Fault, nowMs: number): QueueEffect[] {
    const from = this.#links.get(link)
    if (!from) return []
    if ('code' in identity) return answerError(link, id, identity)
    if (identity.key !== from.identity.key) return answerError(link, id, fault('user_mismatch'))
    const { expiresAt } = identity
    const result = expiresAt === undefined ? {} : { expiresInMs: Math.max(0, expiresAt - nowMs) }
    return [...answer(link, id, result), ...this.#judged(link, identity, nowMs)]
  }

  /** From here on the link is measured by these rights. Who may not work any more is told to come again, and gets no other job. */
  #judged(link: number, identity: Identity, nowMs: number): QueueEffect[] {
    const from = this.#links.get(link)
    if (!from) return []
    from.identity = identity
    this.#expiresAt = Math.min(this.#expiresAt, identity.expiresAt ?? NEVER)
    if (identity.rights === 0) return this.#expel(link, null, fault('forbidden'), nowMs)
    const works = this.#workersOf(link).length > 0 || this.#pulls.of(link).length > 0
    if (works && 'code' in authorize(identity, 'work')) return this.#expel(link, null, fault('access_changed'), nowMs)
    return this.#remember(link)
  }

  // ---- enqueueing

  #enqueue(link: number, from: Link, request: EnqueueRequest, nowMs: number): QueueEffect[] {
    const { params, lines } = request
    const may = authorize(from.identity, 'enqueue')
    if ('code' in may) return this.#turnAway(link, from, request, may)
    if (this.#full(lines.bytes)) return answerError(link, request.id, FULL)
    if (isKeyed(params)) return this.#wait(link, from, request)
    if (this.#waiting.size > 0 && this.#waiting.has(this.#lineOf(link, from, request)))
      return this.#wait(link, from, request)
    return this.#accept(link, from, request, nowMs)
  }

  #turnAway(link: number, { identity }: Link, request: EnqueueRequest, reason: Fault): QueueEffect[] {
    const fates = this.#jobs.turnAway(identity.key, request, reason)
    if ('code' in fates) return answerError(link, request.id, fates)
    return this.#reply(link, request.id, { epoch: this.#epoch, fates })
  }

  #accept(link: number, from: Link, request: EnqueueRequest, nowMs: number, found?: Found): QueueEffect[] {
    const { identity } = from
    const may = authorize(identity, 'enqueue')
    if ('code' in may) return this.#turnAway(link, from, request, may)
    const { rate } = identity.limits ?? {}
    const fates = this.#jobs.accept(
      may,
      identity.key,
      identity.limits ? this.#limited(identity, request, nowMs) : request,
      nowMs,
      found,
    )
    if ('code' in fates) return answerError(link, request.id, fates)
    const retryAfterMs = rate && this.#spend(identity.key, rate, fates, nowMs)
    if (retryAfterMs !== undefined && fates.every(({ fate }) => fate === 'unsent'))
      return answerError(link, request.id, tooOften('enqueued', retryAfterMs))
    return this.#reply(link, request.id, { epoch: this.#epoch, fates, ...(retryAfterMs && { retryAfterMs }) })
  }

  /** The same request, with what the policy lets its user enqueue of it. */
  #limited(
    { key, limits: { rate, messageBytes } = {} }: Identity,
    request: EnqueueRequest,
    nowMs: number,
  ): EnqueueRequest {
    const refused = messageBytes === undefined ? undefined : firstOversized(request.lines, messageBytes)
    return {
      ...request,
      ...(refused && { lines: { ...request.lines, refused } }),
      ...(rate && { room: this.#jobs.roomFor(key, rate, nowMs) }),
    }
  }

  /** @returns after which time what the rate left is worth sending again */
  #spend(user: string, rate: Rate, fates: readonly Fate[], nowMs: number): number | undefined {
    const sum = (wanted: Fate['fate']) => fates.reduce((all, { fate, count }) => all + (fate === wanted ? count : 0), 0)
    const left = fates.some(({ fate }) => fate === 'refused') ? 0 : sum('unsent')
    const waitMs = this.#jobs.spend(user, rate, { count: sum('stored') + sum('updated'), left, nowMs })
    return left > 0 ? waitMs : undefined
  }

  /** Whose keys have to be looked up, or who has sent something like that before, stands in line: publishers' jobs are taken in order. */
  #wait(link: number, from: Link, request: EnqueueRequest): QueueEffect[] {
    if (from.readCount >= LIMITS.readsPerLink) return answerError(link, request.id, TOO_MANY_QUESTIONS)
    from.readCount++
    this.#waitingBytes += request.lines.bytes
    const by = this.#lineOf(link, from, request)
    const line = this.#waiting.get(by)
    if (line) line.push({ link, request })
    else {
      this.#waiting.set(by, [{ link, request }])
      this.#lookUp(by, request, this.#jobs.unread(request, undefined), [])
    }
    return []
  }

  /** Where a frame stands in line: behind those of its publisher, or nobody where it names none. */
  #lineOf(link: number, { identity: { key } }: Link, { id, params: { publisher } }: EnqueueRequest): string {
    return publisher === undefined ? `${link} ${id}` : Publishers.key(key, publisher)
  }

  /** Keys first; jobs that are to be replaced and are not at hand come with the next answer, or the one after if they have moved. */
  #lookUp(by: string, request: EnqueueRequest, keys: readonly Place[], jobs: readonly Place[], round = 1): void {
    if (round > MOST_ROUNDS) throw new Error('a key names a place where its job is not')
    this.#questions.push({
      query: { what: 'get', places: [...keys, ...jobs] },
      use: (rows, _, nowMs) => {
        const found = new Found(rows)
        const missing = this.#jobs.unread(request, found)
        if (missing.length === 0) return this.#found(by, found, nowMs)
        this.#lookUp(by, request, keys, [...jobs, ...missing], round + 1)
        return []
      },
    })
  }

  /** The first frame of a line can be accepted, and so can those behind it that need no answer. */
  #found(by: string, found: Found | undefined, nowMs: number): QueueEffect[] {
    const line = this.#waiting.get(by) as WaitingFrame[]
    const { link, request } = line.shift() as WaitingFrame
    this.#waitingBytes -= request.lines.bytes
    const from = this.#links.get(link)
    const effects: QueueEffect[] = []
    if (from) {
      from.readCount--
      effects.push(...this.#accept(link, from, request, nowMs, found))
    }
    const [next] = line
    if (!next) this.#waiting.delete(by)
    else if (isKeyed(next.request.params))
      this.#lookUp(by, next.request, this.#jobs.unread(next.request, undefined), [])
    else effects.push(...this.#found(by, undefined, nowMs))
    return effects
  }

  /** What is held in memory until it is durable, jobs and what will be said about them, may not become more by so many bytes. */
  #full(bytes: number): boolean {
    if (!this.#inFlight) return false
    const { waitingBytes } = this.#jobs
    return this.#inFlight.bytes + waitingBytes + this.#waitingBytes + this.#owedBytes + bytes > LIMITS.undurableBytes
  }

  /**
   * Answer once all that was decided so far is durable, repeats of what is on its way included.
   * @param awaited whether somebody does nothing else until then
   */
  #reply(link: number, id: number, result: object, awaited = true): QueueEffect[] {
    if (this.#jobs.empty && !this.#inFlight) return answer(link, id, result)
    this.#awaited ||= awaited
    return this.#owe(link, encodeResult(id, result))
  }

  #owe(link: number, text: string): QueueEffect[] {
    this.#owedBytes += text.length
    this.#answers.push({ link, text })
    return []
  }

  /** What is seen in memory is told when the store has it, too, or an end that lingers could be heard of and then not be. */
  #tell(link: number, text: string): QueueEffect[] {
    if (this.#jobs.empty) return [{ name: 'send', links: [link], text }]
    this.#awaited = true
    return this.#owe(link, text)
  }

  #commit(nowMs: number): QueueEffect {
    const { write, claims, bytes } = this.#jobs.seal(nowMs)
    this.#inFlight = { bytes, answers: this.#answers, claims }
    this.#answers = []
    this.#awaited = false
    return { name: 'commit', commit: ++this.#commitCount, write }
  }

  #durable(): QueueEffect[] {
    const settled = this.#inFlight
    if (!settled) return []
    this.#inFlight = undefined
    const effects: QueueEffect[] = []
    for (const { link, text } of settled.answers) effects.push(this.#owed(link, text))
    for (const claim of settled.claims) effects.push(...this.#push(claim))
    return effects
  }

  #owed(link: number, text: string): QueueEffect {
    this.#owedBytes -= text.length
    return { name: 'send', links: [link], text }
  }

  // ---- giving jobs away

  /** One job each to those who have room, round after round. */
  #deal(nowMs: number): void {
    const jobs = this.#jobs
    let room = jobs.room(nowMs)
    if (room <= 0 || this.#refilling) return
    const open = [...this.#workers.values(), ...this.#pulls.all].filter(hasRoom)
    const claims = new Map<Worker | Pull, Claim>()
    for (let i = this.#round++; open.length > 0 && room > 0 && jobs.heldBytes < LIMITS.heldBytes; i++) {
      const next = jobs.peek(nowMs)
      if (!next) return
      if ('query' in next) {
        this.#fetch(next)
        return
      }
      if (jobs.expire(next, nowMs)) continue
      const index = i % open.length
      const worker = open[index] as Worker | Pull
      const may = authorize((this.#links.get(worker.link as number) as Link).identity, 'work')
      if ('code' in may) {
        open.splice(index, 1)
        continue
      }
      const claim = claims.get(worker) ?? jobs.claim(worker.key, worker.leaseMs)
      claims.set(worker, claim)
      jobs.lease(may, next, claim, nowMs)
      worker.holding++
      if ('wait' in worker) worker.claim = claim
      room--
      // One page at most: what is said of a claim is one text.
      if (!hasRoom(worker) || claim.bytes >= LIMITS.pageBytes) open.splice(index, 1)
    }
  }

  #push(claim: Claim): QueueEffect[] {
    const pull = isPull(claim.worker) ? this.#pulls.answered(claim) : undefined
    const worker = pull ?? this.#workers.get(claim.worker)
    const held = [...claim.held.values()]
    if (worker?.link === undefined) {
      // Gone before it was durable: nobody has heard of these leases, and nobody else would end them.
      for (const one of held) this.#ended(one, () => this.#jobs.release(one))
      return []
    }
    claim.pushed = true
    claim.link = worker.link
    if (held.length === 0 && !pull) return []
    const facts = { token: claim.token, untilMs: held[0]?.untilMs ?? 0 }
    const jobs = held.map(({ job }) => pushed(job))
    const bodies = held.map(({ job }) => job.body)
    const ticks = ticksOf(held)
    const given = { ...facts, jobs, ...(ticks.length > 0 && { ticks }) }
    const text = pull
      ? encodeClaimed(pull.id, held.length > 0 ? given : NOTHING, bodies)
      : encodeJobs({ queue: this.#options.queue, worker: worker.name, ...given }, bodies)
    const said: QueueEffect = { name: 'send', links: [worker.link], text }
    return pull?.wait ? [said, ...this.#remember(pull.link)] : [said]
  }

  /** Nothing is given away before it is known which job is next. */
  #fetch({ query, use }: Need): void {
    this.#refilling = true
    this.#questions.push({
      query,
      use: (rows) => {
        this.#refilling = false
        use(rows)
        return []
      },
    })
  }

  // ---- workers

  #work(
    link: number,
    from: Link,
    id: number,
    { worker: name, capacity, leaseMs, holding, about = from.about, quiet = false }: QueueParams<'work'>,
    nowMs: number,
  ): QueueEffect[] {
    const { identity } = from
    const may = authorize(identity, 'work')
    if ('code' in may) return answerError(link, id, may)
    const others = this.#workersOf(link).filter((one) => one.name !== name)
    if (others.length >= LIMITS.workersPerLink) {
      const ended = others.find(hasEnded)
      if (!ended) return answerError(link, id, fault('too_many_workers'))
      this.#workers.delete(ended.key)
    }
    const worker = this.#worker(identity, name, nowMs)
    const before = worker.link
    from.about = about
    Object.assign(worker, { link, capacity, leaseMs, about, quiet })
    const lost = holding ? this.#reconcile(worker, holding) : []
    const effects = [...answer(link, id, { epoch: this.#epoch, lost }), ...this.#remember(link)]
    // A link that is broken and does not know it must not have its worker back when a home wakes.
    return before === undefined || before === link ? effects : [...effects, ...this.#remember(before)]
  }

  #claim(link: number, { identity }: Link, id: number, params: QueueParams<'claim'>): QueueEffect[] {
    const may = authorize(identity, 'work')
    if ('code' in may) return answerError(link, id, may)
    if (this.#full(0)) return answerError(link, id, FULL)
    if (this.#pulls.of(link).length >= LIMITS.readsPerLink)
      return answerError(link, id, busy('more claims than readsPerLink wait', 1_000))
    const { worker: name, count, leaseMs, wait = false } = params
    this.#pull(link, identity, { id, name, count, leaseMs, wait })
    return wait ? this.#remember(link) : []
  }

  #pull(link: number, { key: user }: Identity, { count: capacity, ...asked }: PullState & { wait: boolean }): void {
    this.#pulls.add({ ...asked, key: pullKey(user, asked.name), link, capacity, holding: 0 })
  }

  /**
   * What it has never heard of, or has given up, goes back; but not what it was told on this link, which may be on its way still.
   * @returns what it holds no more
   */
  #reconcile(worker: Worker, holding: readonly Lease[]): Lease[] {
    const known = new Set(holding.map(([job, token]) => `${job} ${token}`))
    const gone = [...this.#jobs.held].filter(
      ({ job, claim }) =>
        claim.worker === worker.key &&
        claim.pushed &&
        (worker.link === undefined || claim.link !== worker.link) &&
        !known.has(`${job.id} ${claim.token}`),
    )
    for (const held of gone) this.#ended(held, () => this.#jobs.release(held))
    return holding.filter(([job, token]) => this.#jobs.find(job, token)?.claim.worker !== worker.key)
  }

  #worker({ key, user }: Identity, name: string, nowMs: number): Worker {
    return Object.assign(this.#known(`${key}.${name}`, name, nowMs), { user })
  }

  #holder({ worker }: Claim, nowMs: number): Worker {
    return this.#known(worker, nameIn(worker), nowMs)
  }

  #known(key: string, name: string, nowMs: number): Worker {
    const known = this.#workers.get(key)
    if (known) return known
    const nowhere = { link: undefined, goneAt: nowMs, user: undefined, about: undefined }
    const nothing = { capacity: 0, leaseMs: 0, holding: 0, quiet: false }
    const worker: Worker = this.#gone.take(key, nowMs) ?? { key, name, sinceMs: nowMs, ...nowhere, ...nothing }
    this.#workers.set(key, worker)
    return worker
  }

  // ---- what becomes of jobs

  #settle(link: number, { identity }: Link, id: number, params: QueueParams<'settle'>, nowMs: number): QueueEffect[] {
    const may = authorize(identity, 'work')
    if ('code' in may) return answerError(link, id, may)
    if (this.#full(0)) return answerError(link, id, FULL)
    const jobs = this.#jobs
    const stale: Lease[] = []
    /** Nobody settles for another one, however well tokens can be guessed. */
    const pull = params.worker === undefined ? undefined : pullKey(identity.key, params.worker)
    const own = (held: Held | undefined): held is Held =>
      held !== undefined &&
      (pull === undefined ? this.#workers.get(held.claim.worker)?.link === link : held.claim.worker === pull)
    const each = (lease: Lease, then: (held: Held) => void): void => {
      const held = jobs.find(lease[0], lease[1])
      if (own(held)) this.#ended(held, () => then(held))
      else stale.push(lease)
    }
    const ack = (lease: Lease, result?: string): void => {
      const late = jobs.late(lease[0], lease[1])
      if (own(late)) jobs.ack(may, late, nowMs, result)
      else each(lease, (held) => jobs.ack(may, held, nowMs, result))
    }
    for (const { lease, state } of params.keep ?? []) {
      const held = jobs.find(lease[0], lease[1])
      if (own(held)) jobs.keep(may, held, state)
      else stale.push(lease)
    }
    for (const lease of params.ack ?? []) ack(lease)
    for (const { lease, result } of params.done ?? []) ack(lease, result)
    for (const { lease, error, delayMs, dead = false } of params.retry ?? [])
      each(lease, (held) => jobs.retry(may, held, { error, delayMs, dead, chance: this.#options.salt }, nowMs))
    for (const lease of params.release ?? []) each(lease, (held) => jobs.release(held))
    for (const { lease, ms } of params.snooze ?? []) each(lease, (held) => jobs.snooze(may, held, nowMs + ms))
    for (const { lease, ms } of params.extend ?? []) {
      const held = jobs.find(lease[0], lease[1])
      if (own(held)) jobs.extend(may, held, nowMs + (ms ?? held.claim.leaseMs))
      else stale.push(lease)
    }
    // Whoever has no link waits for the answer alone.
    return this.#reply(link, id, { stale }, pull !== undefined)
  }

  /** A lease ends: its worker has room for another one. */
  #ended({ claim }: Held, end: () => void): void {
    end()
    const worker = this.#workers.get(claim.worker)
    if (worker && --worker.holding === 0 && worker.link === undefined) this.#workers.delete(worker.key)
  }

  #overdue(nowMs: number): void {
    const over = this.#jobs.overdue(nowMs)
    for (const held of over) this.#ended(held, () => this.#jobs.lose(held, nowMs))
    // Who was told before it is durable would come back without a lease that its home still takes for held.
    for (const told of this.#lost(over, 'deadline')) {
      this.#owedBytes += told.text.length
      this.#answers.push(told)
    }
  }

  /** For workers, that leases of theirs have ended. */
  #lost(ended: readonly Held[], reason: 'deadline' | 'cancelled', message?: string): Answer[] {
    const leases = new Map<number, Lease[]>()
    for (const { job, claim } of ended) {
      const link = this.#workers.get(claim.worker)?.link
      if (link !== undefined && claim.pushed) leases.set(link, [...(leases.get(link) ?? []), [job.id, claim.token]])
    }
    const { queue } = this.#options
    return [...leases].map(([link, list]) => ({
      link,
      text: encodeNotification('lost', { queue, leases: list, reason, message }),
    }))
  }

  // ---- watching

  /** What handlers say goes to who watches, as it is. */
  #report(link: number, from: Link, id: number, { reports }: QueueParams<'report'>, nowMs: number): QueueEffect[] {
    const may = authorize(from.identity, 'work')
    if ('code' in may) return answerError(link, id, may)
    if (from.reports.exhausted(nowMs)) return answerError(link, id, busy('more was reported than reportBytes', 1_000))
    const { queue } = this.#options
    const effects: QueueEffect[] = [...answer(link, id, {})]
    for (const { lease, progress, log } of reports) {
      from.reports.spend((progress?.length ?? 0) + (log?.reduce((sum, line) => sum + line.length, 0) ?? 0))
      const held = this.#jobs.find(lease[0], lease[1])
      if (!held || this.#workers.get(held.claim.worker)?.link !== link) continue
      if (progress !== undefined) held.progress = progress
      if (log) held.log = [...(held.log ?? []), ...log].slice(-LIMITS.logLines)
      const links = this.#jobs.outcomes.watchersOf(lease[0]).filter((one) => this.#mayHear(one, held.job.by))
      if (links.length > 0)
        effects.push({
          name: 'send',
          links,
          text: encodeNotification('reported', { queue, id: lease[0], progress, log }),
        })
    }
    return effects
  }

  #watch(link: number, from: Link, id: number, { ids }: QueueParams<'watch'>, nowMs: number): QueueEffect[] {
    const may = watchable(from.identity)
    if ('code' in may) return answerError(link, id, may)
    const { outcomes } = this.#jobs
    // Whoever asks again, since their home has slept, watches no more than before.
    if (new Set([...outcomes.watchedBy(link), ...ids]).size > LIMITS.watchesPerLink)
      return answerError(link, id, busy('more jobs than watchesPerLink are watched', 1_000))
    if (from.pages.exhausted(nowMs)) return answerError(link, id, PAGES)
    const told = (rows: readonly JobRow[] = []): QueueEffect[] =>
      this.#watched(link, from, id, ids, new Map(rows.map((row) => [row.id, row])))
    const unknown = (rows: readonly JobRow[] = []): boolean =>
      ids.some((job) => !outcomes.get(job) && !this.#jobs.at(job) && !rows.some((row) => row.id === job))
    if (!unknown()) return told()
    const places = ids.flatMap((job) => this.#jobs.placesOf(job, nowMs))
    return this.#later(link, id, { what: 'get', places }, (rows) => {
      if (!unknown(rows)) return told(rows)
      // All that waits for a time is read through, and every job is asked for anew: one that was known may not be by then.
      from.pages.spend(LIMITS.pageBytes)
      return this.#later(link, id, { what: 'find', ids }, told)
    })
  }

  #watched(
    link: number,
    { identity }: Link,
    id: number,
    ids: readonly number[],
    found: ReadonlyMap<number, JobRow>,
  ): QueueEffect[] {
    const may = watchable(identity)
    if ('code' in may) return answerError(link, id, may)
    const jobs = ids.map((job): WatchedJob => {
      const known = this.#outcomeOf(job, found.get(job))
      if (!known || !(may.all || isBy(known.by, identity))) return { id: job, state: 'unknown' }
      if (known.told.state === 'waiting') this.#jobs.outcomes.watch(link, job)
      return known.told
    })
    return [...this.#reply(link, id, { jobs }), ...this.#remember(link)]
  }

  #outcomeOf(id: number, row: JobRow | undefined): { readonly by: string; readonly told: WatchedJob } | undefined {
    const outcome = this.#jobs.outcomes.get(id)
    if (outcome) {
      const { by, state, error, result } = outcome
      return { by, told: { id, state, error, result } }
    }
    const at = this.#jobs.at(id)
    if (at && 'claim' in at) {
      const { progress, log, job } = at
      return { by: job.by, told: { id, state: 'waiting', progress, log: log && [...log] } }
    }
    const job = at ?? (row && row.lane < LANES.keys ? this.#jobs.resolve(row) : undefined)
    if (!job || job.gone) return undefined
    const { by, lane, error, extra } = job
    const state = lane < CLAIMABLE ? 'waiting' : lane === LANES.dead ? 'dead' : 'completed'
    return { by, told: { id, state, error, result: extra?.result } }
  }

  /** The right may have been taken away since it asked. */
  #mayHear(link: number, by: string): boolean {
    const known = this.#links.get(link)
    if (!known) return false
    const { identity } = known
    const may = watchable(identity)
    return !('code' in may) && (may.all || isBy(by, identity))
  }

  /** With the commit that makes it so. Who may not hear it any more is told what they would be told if they asked now. */
  #tellOutcome({ id, outcome: { by, state, error, result }, links }: News): void {
    const { queue } = this.#options
    const ended = encodeNotification('ended', { queue, id, state, error, result })
    const unknown = encodeNotification('ended', { queue, id, state: 'unknown' })
    for (const link of links) {
      const text = this.#mayHear(link, by) ? ended : unknown
      this.#owedBytes += text.length
      this.#answers.push({ link, text })
    }
  }

  // ---- questions to the store

  /** Answer when the store has been asked, unless the link is gone by then. */
  #later(link: number, id: number, query: QueueQuery, use: Question['use']): QueueEffect[] {
    const from = this.#links.get(link)
    if (!from) return []
    if (from.readCount >= LIMITS.readsPerLink) return answerError(link, id, TOO_MANY_QUESTIONS)
    from.readCount++
    this.#questions.push({
      query,
      use: (...read) => {
        from.readCount--
        return this.#links.has(link) ? use(...read) : []
      },
    })
    return []
  }

  #ask({ query, use }: Question): QueueEffect {
    const reader = ++this.#readCount
    this.#readers.set(reader, use)
    this.#jobs.reading++
    return { name: 'read', reader, ...query }
  }

  #read(reader: number, rows: readonly JobRow[], lanes: readonly LaneCount[], nowMs: number): readonly QueueEffect[] {
    const use = this.#readers.get(reader)
    this.#readers.delete(reader)
    const effects = use?.(rows, lanes, nowMs) ?? []
    this.#jobs.read()
    return effects
  }

  // ---- time

  #due(nowMs: number): QueueEffect[] {
    this.#wakeAt = NEVER
    this.#expiresAt = NEVER
    if (this.#sweptAt === undefined || nowMs >= this.#sweepsAt) this.#sweep(nowMs)
    const effects: QueueEffect[] = []
    for (const [link, { identity }] of [...this.#links]) {
      if (expired(identity, nowMs)) effects.push(...this.#expel(link, null, fault('token_expired'), nowMs))
      else this.#expiresAt = Math.min(this.#expiresAt, identity.expiresAt ?? NEVER)
    }
    for (const worker of [...this.#workers.values()]) {
      if (worker.link !== undefined) continue
      // A clock that was put back must not keep the jobs of the dead.
      worker.goneAt = Math.min(worker.goneAt, nowMs)
      if (worker.goneAt + LIMITS.workerGraceMs > nowMs) continue
      for (const held of [...this.#jobs.held])
        if (held.claim.worker === worker.key) this.#ended(held, () => this.#jobs.lose(held, nowMs))
    }
    return effects
  }

  /** Nobody knows at waking what may go; the first alarm of a life looks, whatever it came for. */
  get #sweepsAt(): number {
    const { agesAt } = this.#jobs
    if (agesAt === NEVER) return NEVER
    return Math.max(agesAt, (this.#sweptAt ?? this.#wokenAt) + LIMITS.sweepMs)
  }

  /** What is kept no longer goes, piece by piece: jobs that are done, those that are dead, and keys. */
  #sweep(nowMs: number): void {
    this.#sweptAt = nowMs
    this.#jobs.agesAt = NEVER
    for (const lane of [LANES.completed, LANES.dead, LANES.keys]) this.#sweepLane(lane)
  }

  #sweepLane(lane: number, after?: Pick<Place, 'due' | 'id'>): void {
    const bounds = { maxJobs: LIMITS.sweepJobs, maxBytes: LIMITS.laneBytes }
    this.#questions.push({
      query: { what: 'page', lane, after, bounds },
      use: (rows, _, nowMs) => {
        const next = this.#jobs.sweep(rows, nowMs)
        if (next !== undefined) this.#jobs.agesAt = Math.min(this.#jobs.agesAt, next)
        const last = rows.at(-1)
        // Jobs lie in the order in which they may go, keys do not.
        if (last && (next === undefined || lane === LANES.keys)) this.#sweepLane(lane, last)
        return []
      },
    })
  }

  /** The one alarm, for whatever comes first. */
  #alarm(effects: QueueEffect[], nowMs: number): void {
    let at = Math.min(this.#expiresAt, this.#jobs.nextDeadline, this.#sweepsAt)
    // A tick that has come and waits for a commit must not be forgotten with the memory.
    const { nextAt } = this.#jobs.schedules
    at = Math.min(at, nextAt > nowMs ? nextAt : nowMs + LIMITS.tickRetryMs)
    let room = false
    for (const worker of this.#workers.values()) {
      if (worker.link === undefined) at = Math.min(at, worker.goneAt + LIMITS.workerGraceMs)
      else room ||= hasRoom(worker)
    }
    for (const pull of this.#pulls.all) room ||= hasRoom(pull)
    // Nobody has to be woken for a job that nobody would take; one that is due by now waits for a commit or a page.
    const { dueAt, groupAt } = this.#jobs
    const later = (time: number): number => (time > nowMs ? time : NEVER)
    if (room && !this.#jobs.paused) at = Math.min(at, this.#jobs.freeAt(nowMs), later(dueAt), later(groupAt))
    // What is due by now is done by the event that comes next.
    if (at >= this.#wakeAt || at <= nowMs) return
    this.#wakeAt = at
    effects.push({ name: 'wake-at', at })
  }
}

interface WaitingFrame {
  readonly link: number
  readonly request: EnqueueRequest
}

function pushed(job: Job): readonly [id: number, attempt: number, enqueuedAt: number, more?: object] {
  const { id, at, extra, options } = job
  const state = extra?.state
  if (state === undefined && !options.retain) return [id, deliveryOf(job), at]
  return [id, deliveryOf(job), at, { state, retain: options.retain && true }]
}

/** Whoever may see payloads watches any job, and who may enqueue those of their own. */
function watchable(identity: Identity): { readonly all: boolean } | Fault {
  if (!('code' in authorize(identity, 'view')) && !('code' in authorize(identity, 'peek'))) return { all: true }
  const may = authorize(identity, 'enqueue')
  return 'code' in may ? may : { all: false }
}

const TOO_MANY_QUESTIONS = busy('more questions than readsPerLink wait', 1_000)
const hasRoom = ({ link, holding, capacity }: Worker | Pull): boolean => link !== undefined && holding < capacity

function ticksOf(held: readonly Held[]): (readonly [index: number, schedule: string, at: number])[] {
  const ticks: (readonly [index: number, schedule: string, at: number])[] = []
  for (const [i, { job }] of held.entries()) {
    if (!isTick(job.by)) continue
    const { schedule, at } = tickOf(job)
    ticks.push([i, schedule, at])
  }
  return ticks
}
