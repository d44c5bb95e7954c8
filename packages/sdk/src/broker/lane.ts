import { LIMITS } from '../protocol/limits.ts'
import type { Place } from '../store/queue-store.ts'
import { isBehind, type Job } from './job.ts'

type Point = Pick<Place, 'due' | 'id'>

const START: Point = { due: -1, id: -1 }

/**
 * The first jobs of a lane that nobody holds. Up to the horizon it has all of them; what lies behind is in the store alone, and is read
 * when it is needed. So a backlog of any length takes the same memory.
 */
export class Lane {
  readonly number: number
  #jobs: Job[] = []
  /** Index of the first that counts, to spare shifting. */
  #start = 0
  #bytes = 0
  /** `undefined`: nothing lies in the store that is not here. */
  #horizon: Point | undefined = START

  constructor(number: number) {
    this.number = number
  }

  get head(): Job | undefined {
    return this.#jobs[this.#start]
  }

  get size(): number {
    return this.#jobs.length - this.#start
  }

  /** Whether the first job is not known, though there may be one. */
  get blank(): boolean {
    return this.#horizon !== undefined && this.#start === this.#jobs.length
  }

  /** Where reading goes on. */
  get horizon(): Point | undefined {
    return this.#horizon === START ? undefined : this.#horizon
  }

  add(job: Job): void {
    if (this.#horizon && isBehind(job, this.#horizon)) return
    const newest = this.#jobs.at(-1)
    if (this.#start === this.#jobs.length || !newest || isBehind(job, newest)) this.#jobs.push(job)
    else this.#jobs.splice(this.#indexOf(job), 0, job)
    this.#bytes += job.body.length
    if (this.size > 2 * LIMITS.laneJobs || this.#bytes > 2 * LIMITS.laneBytes) this.#cut()
  }

  shift(): void {
    const job = this.#jobs[this.#start++]
    this.#bytes -= job?.body.length ?? 0
    if (this.#start < LIMITS.laneJobs && this.#start < this.#jobs.length) return
    this.#jobs = this.#jobs.slice(this.#start)
    this.#start = 0
  }

  find(place: Place): Job | undefined {
    const job = this.#jobs[this.#indexOf(place)]
    return job?.id === place.id ? job : undefined
  }

  remove(job: Job): void {
    const index = this.#indexOf(job)
    if (this.#jobs[index] !== job) return
    this.#jobs.splice(index, 1)
    this.#bytes -= job.body.length
  }

  /** Everything up to here has been read and added. */
  reached(horizon: Point | undefined): void {
    this.#horizon = horizon
  }

  /** The end is left to the store; one job always stays. */
  #cut(): void {
    let end = this.#start
    for (let bytes = 0; end < this.#start + LIMITS.laneJobs; end++) {
      bytes += this.#jobs[end]?.body.length ?? 0
      if (end > this.#start && bytes > LIMITS.laneBytes) break
    }
    if (end >= this.#jobs.length) return
    this.#jobs.length = end
    const { due, id } = this.#jobs[end - 1] as Job
    this.#horizon = { due, id }
    this.#bytes = 0
    for (let i = this.#start; i < end; i++) this.#bytes += this.#jobs[i]?.body.length ?? 0
  }

  /** Index of the first job that does not come before a place. */
  #indexOf(place: Point): number {
    let low = this.#start
    for (let high = this.#jobs.length; low < high; ) {
      const middle = (low + high) >> 1
      if (isBehind(place, this.#jobs[middle] as Job)) low = middle + 1
      else high = middle
    }
    return low
  }
}
