import { type Job, jobOf, LANES } from '../../../packages/sdk/src/broker/job.ts'
import { isTick, tickOf } from '../../../packages/sdk/src/broker/schedules.ts'
import type { JobRow, QueueCommit } from '../../../packages/sdk/src/store/queue-store.ts'
import type { Manager } from './manager.ts'
import type { QueueWorld } from './world.ts'

/** A schedule that nobody changes: what it must have brought in the end can be said. */
export const LEFT_ALONE = 'left-alone'

/** What a job of a schedule is called in histories, since all of them have one payload. */
export const nameOf = (schedule: string, id: number): string => `${schedule} #${id}`

/** The name of a row's job. */
export function nameOfRow(row: JobRow): string {
  const job = jobOf(row)
  return isTick(job.by) ? nameOf(tickOf(job).schedule, job.id) : (JSON.parse(row.body) as string)
}

/** Watches what becomes durable: every tick of a schedule comes once, in order, and jobs that may not overlap do not. */
export class Ticks {
  readonly #world: QueueWorld
  readonly #manager: Manager
  readonly #came = new Map<string, number[]>()
  #byHand = 0
  /** Jobs of the schedule that is left alone which are not finished. */
  readonly #open = new Set<number>()

  constructor(world: QueueWorld, manager: Manager) {
    this.#world = world
    this.#manager = manager
  }

  durable({ put, move, remove }: QueueCommit): void {
    for (const { id } of remove) this.#open.delete(id)
    for (const { to } of move) if (to.lane >= LANES.dead) this.#open.delete(to.id)
    for (const row of put) {
      if (row.lane === LANES.keys) continue
      const job = jobOf(row)
      if (isTick(job.by)) this.#added(job)
    }
  }

  #added(job: Job): void {
    const { schedule, at } = tickOf(job)
    const came = this.#came.get(schedule) ?? []
    if (job.sequence === 0) this.#byHand++
    else {
      this.#expect('ticks of a schedule that came again', (came.at(-1) ?? 0) >= at ? 1 : 0)
      this.#came.set(schedule, [...came, at])
      this.#world.count('tick')
    }
    if (schedule !== LEFT_ALONE || this.#manager.plan.overlap === 'allow') return
    this.#expect('jobs of a schedule that overlap', this.#open.size)
    this.#open.add(job.id)
  }

  /** Everything is over. */
  end(): void {
    const { plan, made, runCount } = this.#manager
    const { startAt, endAt, everyMs, overlap } = plan
    const came = this.#came.get(LEFT_ALONE) ?? []
    const isNone = (at: number): boolean => at < startAt || at > endAt || (at - startAt) % everyMs !== 0
    this.#expect('ticks that are none', came.filter(isNone).length)
    this.#expect('jobs by hand that nobody asked for', Math.max(0, this.#byHand - runCount))
    // Which ones are passed over cannot be said.
    if (overlap === 'skip' || (!made && came.length === 0)) return
    const first = came[0] ?? endAt
    this.#expect(
      'ticks that were missed',
      Math.floor((endAt - startAt) / everyMs) + 1 - (first - startAt) / everyMs - came.length,
    )
  }

  #expect(nothing: string, value: number): void {
    this.#world.record({ e: 'sample', bound: nothing, value, limit: 0 })
  }
}
