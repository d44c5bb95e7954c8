import type { GroupFacts, JobEvent } from './history.ts'
import type { Verdict } from './verdict.ts'

interface Job {
  token: number
  /** Nobody else may have it before; after the lease was settled: from when on it is free. */
  leasedUntil: number
  settled: boolean
  end: 'done' | 'dead' | undefined
  delivery: number
  /** The newest delivery of which its worker was told that it was lost. */
  lost: number
}

/** One live lease per job, tokens that rise, nothing accepted from who lost it, nothing forgotten. */
export class Leases {
  readonly #verdict: Verdict
  readonly #jobs = new Map<string, Job>()
  /** The highest that was begun, by group and kind of order. */
  readonly #begun = new Map<string, number>()

  constructor(verdict: Verdict) {
    this.#verdict = verdict
  }

  event(event: JobEvent): void {
    if (event.e === 'enqueued') {
      const unclaimed = { token: 0, leasedUntil: Number.NEGATIVE_INFINITY, settled: true, end: undefined }
      this.#jobs.set(event.job, { ...unclaimed, delivery: 0, lost: 0 })
      return
    }
    const job = this.#jobs.get(event.job)
    if (this.#verdict.failed('message that nobody published', job !== undefined) || !job) {
      this.#verdict.violated('message that nobody published', `job ${event.job} was never enqueued`)
      return
    }
    if (event.e === 'dead') job.end = 'dead'
    else if (event.e === 'claimed') this.#claimed(job, event)
    else if (event.e === 'lost') job.lost = event.token === job.token ? job.delivery : job.lost
    else this.#used(job, event)
  }

  #claimed(
    job: Job,
    { job: name, token, at, deadline, group, delivery = 0 }: Extract<JobEvent, { e: 'claimed' }>,
  ): void {
    const verdict = this.#verdict
    if (delivery > 0 && verdict.failed('lost lease not counted', delivery > job.lost))
      verdict.violated('lost lease not counted', `${name}: delivery ${delivery} after ${job.lost} was lost`)
    if (verdict.failed('job ran after it was done', job.end === undefined))
      verdict.violated('job ran after it was done', `${name} was claimed by ${token}, and is ${job.end}`)
    if (verdict.failed('token that did not rise', token > job.token))
      verdict.violated('token that did not rise', `${name}: ${token} after ${job.token}`)
    if (verdict.failed('two live leases', at >= job.leasedUntil))
      verdict.violated('two live leases', `${name} by ${token} at ${at}, ${job.token} has it until ${job.leasedUntil}`)
    Object.assign(job, { token, leasedUntil: deadline, settled: false, delivery })
    if (group) this.#grouped(name, group)
  }

  #grouped(job: string, { name, held, most, order }: GroupFacts): void {
    const verdict = this.#verdict
    if (verdict.failed('more of a group held than it allows', held <= most))
      verdict.violated('more of a group held than it allows', `${job} of ${name}: ${held} of ${most}`)
    for (const [by, place] of Object.entries(order)) {
      const highest = this.#begun.get(`${by} ${name}`) ?? place
      if (verdict.failed('group out of order', place >= highest))
        verdict.violated('group out of order', `${job} of ${name}: ${by} ${place} after ${highest}`)
      this.#begun.set(`${by} ${name}`, Math.max(place, highest))
    }
  }

  #used(job: Job, event: Extract<JobEvent, { e: 'extended' | 'settled' }>): void {
    if (!event.accepted) return
    const verdict = this.#verdict
    if (verdict.failed('stale lease accepted', event.token === job.token && !job.settled))
      verdict.violated('stale lease accepted', `${event.job}: ${event.e} by ${event.token}, ${job.token} has it`)
    if (event.e === 'extended') job.leasedUntil = event.deadline
    else {
      job.settled = true
      job.leasedUntil = event.at
      if (event.as === 'done') job.end = 'done'
    }
  }

  /** @param left jobs that still wait, are leased or are set aside */
  end(left: ReadonlySet<string>): void {
    for (const [name, { end }] of this.#jobs) {
      if (end === 'done') continue
      if (this.#verdict.failed('job lost', left.has(name)))
        this.#verdict.violated('job lost', `${name} is neither done nor waiting nor dead`)
    }
  }
}
