import type { Claim } from './jobs.ts'
import type { PullState } from './queue-machine.ts'

/**
 * Somebody who asks for jobs once, and has no link that could tell that they are gone: their leases end at their time, and by no grace. Such
 * workers have names of their own, so nobody is taken for one that is pushed to.
 */
export interface Pull {
  readonly id: number
  readonly key: string
  readonly name: string
  readonly link: number
  readonly leaseMs: number
  /** Whether to wait until there is a job. */
  readonly wait: boolean
  capacity: number
  holding: number
  /** What is given to it, on its way to be durable. */
  claim?: Claim
}

/** No name of a worker begins so. */
const MARK = '.~'

export const pullKey = (user: string, name: string): string => user + MARK + name

export const isPull = (worker: string): boolean => worker.includes(MARK)

/** The name that a worker, of whichever kind, has given itself. */
export const nameIn = (worker: string): string => worker.slice(worker.lastIndexOf('.') + 1).replace(/^~/, '')

/** Those who wait for an answer. */
export class Pulls {
  readonly #waiting = new Set<Pull>()

  get all(): Iterable<Pull> {
    return this.#waiting
  }

  add(pull: Pull): void {
    this.#waiting.add(pull)
  }

  of(link: number): Pull[] {
    return [...this.#waiting].filter((pull) => pull.link === link)
  }

  /** Those of a link that wait, for a home that may forget everything else. */
  stateOf(link: number): readonly PullState[] {
    return this.of(link).flatMap(({ id, name, leaseMs, wait, capacity: count }) =>
      wait ? [{ id, name, count, leaseMs }] : [],
    )
  }

  forget(link: number): void {
    for (const pull of this.of(link)) this.#waiting.delete(pull)
  }

  /** Who is to be answered with these jobs; `undefined` where they have gone. */
  answered(claim: Claim): Pull | undefined {
    const pull = [...this.#waiting].find((one) => one.claim === claim)
    if (pull) this.#waiting.delete(pull)
    return pull
  }

  /** Who was given nothing and does not want to wait. */
  inVain(): Pull[] {
    const pulls = [...this.#waiting].filter(({ claim, wait }) => !claim && !wait)
    for (const pull of pulls) this.#waiting.delete(pull)
    return pulls
  }
}
