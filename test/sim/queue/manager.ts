import type { Plan, RunScheduleResult } from '../../../packages/sdk/src/protocol/frames/schedules.ts'
import { LIMITS } from '../../../packages/sdk/src/protocol/limits.ts'
import type { Random } from '../random.ts'
import { Actor } from './actors.ts'
import { LEFT_ALONE } from './ticks.ts'
import type { QueueWorld } from './world.ts'

type Period = Plan & { readonly everyMs: number; readonly startAt: number; readonly endAt: number }

interface Wanted {
  readonly method: 'schedule' | 'pauseSchedule' | 'runSchedule'
  readonly params: object
  readonly answered: (result: unknown) => void
}

/** One that somebody changes all the time. */
const CHANGED = 'changed'

/**
 * Makes schedules and changes them, and asks again for what was not answered. All of them end with the chaos, so that a history comes to
 * rest; the one that is left alone makes up for every tick.
 */
export class Manager extends Actor {
  readonly #wanted: Wanted[] = []
  readonly #endAt: number
  #lastRun = 0
  /** Of the one that is left alone. */
  readonly plan: Period
  made = false
  /** Jobs that were asked for by hand, but for those that were told not to come. */
  runCount = 0

  constructor(world: QueueWorld) {
    super(world)
    const { random, swarm, server } = world
    this.#endAt = server.nowMs + Math.round(swarm.chaosMs)
    const overlap = random.pick(['allow', 'allow', 'skip', 'queue'] as const)
    this.plan = { ...this.#draw(random), missed: 'all', overlap }
    this.#want('schedule', { id: LEFT_ALONE, plan: this.plan, data: '"tick"', options: { attempts: 100 } }, () => {
      this.made = true
    })
    this.#want('schedule', { id: CHANGED, plan: this.#draw(random), data: '"tick"' })
  }

  #draw(random: Random): Period {
    return {
      everyMs: random.between(10, 50) * 100,
      startAt: this.world.server.nowMs + random.between(0, 3_000),
      endAt: this.#endAt,
      missed: random.pick(['skip', 'last', 'all']),
      overlap: random.pick(['allow', 'skip', 'queue']),
    }
  }

  /** Somebody does something to one of them. */
  meddle(): void {
    const { random } = this.world
    const id = CHANGED
    const change = (): void => this.#want('schedule', { id, plan: this.#draw(random), data: '"tick"' })
    const runNow = (): void => {
      // A schedule knows as many again when they are asked for once more.
      if (this.#wanted.filter(({ method }) => method === 'runSchedule').length >= LIMITS.scheduleRuns) return
      const run = `run_number_${++this.#lastRun}`
      this.runCount++
      this.#want('runSchedule', { id: random.pick([CHANGED, LEFT_ALONE]), run }, (result) => {
        const { job } = result as RunScheduleResult
        this.world.count(job === undefined ? 'not run beside another one' : 'run by hand')
        if (job === undefined) this.runCount--
      })
    }
    random.pick([
      runNow,
      runNow,
      change,
      change,
      () => this.#want('pauseSchedule', { id, paused: random.chance(0.5) }),
    ])()
  }

  #want(method: Wanted['method'], params: object, answered: Wanted['answered'] = () => {}): void {
    const wanted = { method, params, answered }
    this.#wanted.push(wanted)
    if (this.connected) this.#ask(wanted)
  }

  #ask(wanted: Wanted): void {
    this.ask(wanted.method, wanted.params, (result) => {
      const index = this.#wanted.indexOf(wanted)
      if (index === -1) return
      this.#wanted.splice(index, 1)
      wanted.answered(result)
    })
  }

  protected override greet(): void {
    for (const wanted of [...this.#wanted]) this.#ask(wanted)
  }
}
