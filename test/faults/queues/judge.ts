import { LIMITS } from '@messkit/sdk/protocol'
import { Verdict } from '../../support/checker/verdict.ts'
import type { Outcome, QueueEvent, Said, StampedEvent, StoredJob } from './events.ts'
import { ServerTime } from './server-time.ts'

/** By so much a clock may be coarse, and a whole number of ms too small. */
const SLACK_MS = 20

interface Worker {
  readonly name: string
  readonly leaseMs: number
  leftAt: number
  deniedAt: number
  killed: boolean
}

interface Run {
  readonly name: string
  readonly job: Job | undefined
  readonly worker: Worker
  readonly delivery: number
  readonly beganAt: number
  said: Said | undefined
  endedAt: number
  abortedAt: number
}

interface Job {
  readonly name: string
  readonly askedAt: number
  fate: 'asked' | 'acked' | 'refused' | 'unknown'
  id: number | undefined
  readonly runs: Run[]
  cancelled: boolean
  redrivenAt: number
  /** It was stored, and then it was not any more. */
  goneAt: number
}

/** How a history ends. */
export interface QueueEnding {
  /** All jobs that are stored, read in as many ways as there are: they have to agree. */
  readonly readings: readonly (readonly StoredJob[])[]
}

export interface Judged {
  readonly verdict: Verdict
  readonly outcomes: ReadonlyMap<Outcome, number>
}

const NEVER = Number.POSITIVE_INFINITY

/**
 * Judges one history of one queue by what its users saw. When a lease was given, and when it ended, nobody out here is told: so each is
 * taken to have been given as early as it can have been, and to have ended as early as its rules allow. If the next run began before that,
 * two leases were live.
 */
export function judgeQueue(history: readonly StampedEvent[], ending: QueueEnding): Judged {
  return new Judge(history).end(ending)
}

class Judge {
  readonly #verdict = new Verdict()
  readonly #outcomes = new Map<Outcome, number>()
  readonly #time: ServerTime
  /** When a life of the server began. */
  readonly #lives: number[] = []
  readonly #jobs = new Map<string, Job>()
  readonly #byId = new Map<number, Job>()
  readonly #workers = new Map<string, Worker>()
  readonly #runs = new Map<string, Run>()
  #rested = true

  constructor(history: readonly StampedEvent[]) {
    this.#time = new ServerTime(history)
    this.#verdict.histories = 1
    for (const [ns, event] of history) {
      const { counts } = this.#verdict
      counts.set(event.e, (counts.get(event.e) ?? 0) + 1)
      this.#event(event, ns / 1e6)
    }
  }

  #event(event: QueueEvent, at: number): void {
    const verdict = this.#verdict
    switch (event.e) {
      case 'enqueue': {
        const { job: name } = event
        const runs: Run[] = []
        const times = { askedAt: at, redrivenAt: NEVER, goneAt: NEVER }
        this.#jobs.set(name, { name, ...times, fate: 'asked', id: undefined, runs, cancelled: false })
        return
      }
      case 'enqueued':
        this.#enqueued(event)
        return
      case 'refused':
      case 'unknown': {
        const job = this.#jobs.get(event.job)
        if (job) job.fate = event.e
        if (event.e === 'refused') this.#met('refused')
        return
      }
      case 'hired': {
        const { worker: name, leaseMs } = event
        this.#workers.set(name, { name, leaseMs, leftAt: NEVER, deniedAt: NEVER, killed: false })
        return
      }
      case 'left':
      case 'killed':
      case 'denied': {
        const worker = this.#workers.get(event.worker) as Worker
        if (event.e === 'left') worker.leftAt = Math.min(worker.leftAt, at)
        else if (event.e === 'denied') worker.deniedAt = Math.min(worker.deniedAt, at)
        else worker.killed = true
        return
      }
      case 'began':
        this.#began(event, at)
        return
      case 'extended':
        this.#met('extended')
        return
      case 'aborted': {
        const run = this.#runs.get(event.run) as Run
        run.abortedAt = at
        this.#met(
          event.why === 'lease_lost'
            ? 'told that the lease was lost'
            : 'told that the job was cancelled or its worker stopped',
        )
        return
      }
      case 'ended':
        this.#ended(event, at)
        return
      case 'cancel':
        for (const id of event.ids) {
          const job = this.#byId.get(id)
          if (job) job.cancelled = true
        }
        return
      case 'redrive':
        for (const id of event.ids) {
          const job = this.#byId.get(id)
          if (job) job.redrivenAt = Math.min(job.redrivenAt, at)
        }
        return
      case 'stored':
        this.#met('stored jobs read in the middle')
        this.#stored(event.jobs, at)
        return
      case 'life':
        this.#lives.push(at)
        return
      case 'fault':
        verdict.faults.set(event.kind, (verdict.faults.get(event.kind) ?? 0) + 1)
        return
      case 'complaint':
        return
      case 'outcome':
        this.#met(event.what)
        return
      case 'rested':
        this.#rested = event.ms <= event.limitMs
        if (verdict.failed('did not come to rest', this.#rested))
          verdict.violated('did not come to rest', `after ${event.ms} ms`)
    }
  }

  #met(outcome: Outcome): void {
    this.#outcomes.set(outcome, (this.#outcomes.get(outcome) ?? 0) + 1)
  }

  /** A job and an id belong to each other for good. */
  #named(name: string, id: number): Job | undefined {
    const verdict = this.#verdict
    const job = this.#jobs.get(name)
    if (verdict.failed('message that nobody published', job !== undefined) || !job) {
      verdict.violated('message that nobody published', `${name} (${id})`)
      return undefined
    }
    if (verdict.failed('message stored twice', job.id === undefined || job.id === id))
      verdict.violated('message stored twice', `${name} as ${job.id} and as ${id}`)
    const other = this.#byId.get(id)
    if (verdict.failed('two messages at one offset', other === undefined || other === job))
      verdict.violated('two messages at one offset', `${other?.name} and ${name} are both ${id}`)
    job.id = id
    this.#byId.set(id, job)
    return job
  }

  #enqueued({ job: name, id, duplicate }: Extract<QueueEvent, { e: 'enqueued' }>): void {
    const job = id === undefined ? this.#jobs.get(name) : this.#named(name, id)
    if (!job) return
    job.fate = 'acked'
    if (duplicate) this.#met('repeat')
  }

  #began(event: Extract<QueueEvent, { e: 'began' }>, at: number): void {
    const verdict = this.#verdict
    const { run: name, worker: by, delivery, id, intact } = event
    if (verdict.failed('message with other bytes', intact)) verdict.violated('message with other bytes', event.job)
    const job = this.#named(event.job, id)
    const worker = this.#workers.get(by) as Worker
    const run: Run = { name, job, worker, delivery, beganAt: at, said: undefined, endedAt: NEVER, abortedAt: NEVER }
    this.#runs.set(name, run)
    if (!job) return
    if (job.runs.length > 0) this.#met('ran again')
    for (const earlier of job.runs) if (earlier.worker === worker) this.#onceMore(job, earlier, run)
    // A job may begin after it was done, where the word of an old lease was long on its way; not by a lease that came later.
    const newest = Math.max(0, ...job.runs.filter(({ beganAt }) => beganAt < job.goneAt).map((one) => one.delivery))
    const late = job.goneAt < at && job.redrivenAt === NEVER && delivery > newest
    if (verdict.failed('job ran after it was done', !late))
      verdict.violated('job ran after it was done', `${job.name}, delivery ${delivery} after ${newest}`)
    job.runs.push(run)
  }

  /** A worker hears one thing after the other: of the end of a lease before it is given the job again. */
  #onceMore(job: Job, earlier: Run, { delivery, name, beganAt }: Run): void {
    const verdict = this.#verdict
    const told = earlier.said !== undefined || earlier.abortedAt <= beganAt
    if (verdict.failed('lease lost and its handler not told', told))
      verdict.violated('lease lost and its handler not told', `${job.name}: ${name} began, ${earlier.name} goes on`)
    const rose = job.redrivenAt < beganAt || delivery >= earlier.delivery
    if (verdict.failed('token that did not rise', rose))
      verdict.violated('token that did not rise', `${job.name}: delivery ${delivery} after ${earlier.delivery}`)
  }

  #ended({ run: name, said }: Extract<QueueEvent, { e: 'ended' }>, at: number): void {
    const run = this.#runs.get(name) as Run
    run.endedAt = at
    // Whoever has left is not heard any more.
    if (at < run.worker.leftAt) run.said = said
    if (run.job?.runs.at(-1) !== run) this.#met('said something when another run had begun')
    if (said === 'release') this.#met('released')
    if (said === 'snooze') this.#met('snoozed')
    if (said === 'retry') this.#met('retried')
  }

  #stored(stored: readonly StoredJob[], at: number): void {
    const verdict = this.#verdict
    const left = new Set<Job | undefined>()
    for (const { job: name, id } of stored) left.add(this.#named(name, id))
    for (const job of this.#byId.values()) {
      if (!left.has(job)) job.goneAt = Math.min(job.goneAt, at)
      else if (verdict.failed('job ran after it was done', job.goneAt === NEVER))
        verdict.violated('job ran after it was done', `${job.name} was gone and is stored again`)
    }
  }

  end({ readings }: QueueEnding): Judged {
    const verdict = this.#verdict
    const [first = [], ...others] = readings.map((jobs) => [...jobs].sort((a, b) => a.id - b.id))
    const [text, ...texts] = [first, ...others].map((jobs) => JSON.stringify(jobs))
    for (const other of texts)
      if (verdict.failed('readings of the log differ', other === text))
        verdict.violated('readings of the log differ', `${text} and ${other}`)
    const left = new Map<Job | undefined, boolean>()
    for (const { job, id, dead } of first) {
      left.set(this.#named(job, id), dead)
      if (dead) this.#met('dead in the end')
      else if (this.#rested) verdict.violated('did not come to rest', `${job} still waits`)
    }
    for (const job of this.#jobs.values()) {
      this.#one(job)
      this.#fate(job, left.has(job))
    }
    for (const run of this.#runs.values()) if (this.#rested) this.#overAndTold(run)
    const known = [...this.#jobs.values()].filter(({ fate, id }) => fate === 'refused' || id !== undefined)
    verdict.invalid = known.length * 2 < this.#jobs.size ? 1 : 0
    return { verdict, outcomes: this.#outcomes }
  }

  /** At rest no lease is live, so no handler may still take its own for that. */
  #overAndTold({ name, worker, endedAt, abortedAt }: Run): void {
    const told = worker.killed || worker.leftAt < NEVER || endedAt < NEVER || abortedAt < NEVER
    if (this.#verdict.failed('lease lost and its handler not told', told))
      this.#verdict.violated('lease lost and its handler not told', `${name} goes on at the end`)
  }

  // ---- what became of a job

  #fate(job: Job, isLeft: boolean): void {
    const verdict = this.#verdict
    const { name, fate, runs } = job
    const wasThere = isLeft || runs.length > 0 || job.goneAt < NEVER
    if (verdict.failed('never settled', fate !== 'asked')) verdict.violated('never settled', name)
    if (verdict.failed('refused message stored', fate !== 'refused' || !wasThere))
      verdict.violated('refused message stored', name)
    if (isLeft || job.cancelled || (fate !== 'acked' && !wasThere)) return
    // It is gone, so the newest lease has ended it.
    const newest = inOrder(runs).at(-1)
    const acked = runs.filter(({ said }) => said === 'ack')
    if (verdict.failed('job lost', acked.length > 0))
      verdict.violated('job lost', `${name} (${job.id}): ${JSON.stringify(runs.map(({ said }) => said ?? null))}`)
    const fenced = acked.length === 0 || job.redrivenAt < NEVER || newest?.said === 'ack'
    if (verdict.failed('stale lease accepted', fenced))
      verdict.violated('stale lease accepted', `${name}: the newest run, ${newest?.name}, did not ack it`)
  }

  // ---- one lease at a time

  #one(job: Job): void {
    const verdict = this.#verdict
    // After that, deliveries are counted anew, and a run that begins late cannot be told from others.
    const runs = inOrder(job.runs.filter(({ beganAt }) => beganAt < job.redrivenAt))
    let freeAt = job.askedAt
    runs.forEach((run, i) => {
      const { name, beganAt, delivery } = run
      if (verdict.failed('two live leases', beganAt + SLACK_MS >= freeAt))
        verdict.violated(
          'two live leases',
          `${job.name}: ${name} began ${Math.round(freeAt - beganAt)} ms before ${runs[i - 1]?.name ?? 'it was enqueued'} can have lost it`,
        )
      const before = runs[i - 1]
      const rose = !before || delivery > before.delivery || this.#mayComeAgain(before, run)
      if (verdict.failed('token that did not rise', rose))
        verdict.violated('token that did not rise', `${job.name}: ${before?.name} and ${name} are both ${delivery}`)
      freeAt = this.#earliestEnd(run, freeAt)
    })
  }

  /**
   * When its lease can have ended at the earliest, if it was given at some moment from then on: at once, or when the clock had been put
   * back. A link that is lost counts from some moment after that.
   */
  #earliestEnd({ worker, said, beganAt, endedAt }: Run, freeAt: number): number {
    const { leaseMs, leftAt, deniedAt } = worker
    const passes = (ms: number, from: number): number => this.#time.reaches(this.#time.reading(from) + ms, from)
    const between = (moments: readonly number[], to: number): number[] => [
      freeAt,
      ...moments.filter((at) => freeAt < at && at <= to),
    ]
    const overdueAt = between(this.#time.changes, beganAt).map((givenAt) => passes(leaseMs, givenAt))
    // A home that wakes takes workers for gone since then, by a clock that may have been put back.
    const missedAt = between(this.#lives, Number.POSITIVE_INFINITY).map((at) => passes(LIMITS.workerGraceMs, at))
    // Who may not work any more is not heard, and comes back without it.
    const settledAt = (said && said !== 'ack') || deniedAt < NEVER ? endedAt : NEVER
    return Math.max(freeAt, Math.min(...overdueAt, ...missedAt, settledAt, leftAt))
  }

  /** A job that is given back counts as not taken. */
  #mayComeAgain({ said, worker }: Run, { beganAt }: Run): boolean {
    return said === 'release' || said === 'snooze' || worker.leftAt < beganAt || worker.deniedAt < beganAt
  }
}

/** By the leases, as far as it shows; those of one number were given back, and so did not overlap. */
const inOrder = (runs: readonly Run[]): Run[] =>
  runs.toSorted((a, b) => a.delivery - b.delivery || a.beganAt - b.beganAt)
