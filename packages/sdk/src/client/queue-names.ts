import { Alarm, elapsed } from '../platform.ts'
import type { QueuesResult } from '../protocol/frames/queue-names.ts'
import { MessError } from './errors.ts'
import type { QueueSide } from './queue-side.ts'
import type { Asking } from './session-events.ts'

/** Every name that one may know. @param side of all queues */
export async function namesOf(side: QueueSide): Promise<string[]> {
  const names: string[] = []
  for (let after: string | undefined; ; ) {
    const { queues, next } = await side.answer<QueuesResult>('queues', { ...(after !== undefined && { after }) })
    names.push(...queues)
    after = next
    if (after === undefined) return names
  }
}

/**
 * The queues that one may work on, asked where they live: again whenever there may be more of them, which a home on this side says, and
 * a server is asked each beat.
 */
export class QueueNames {
  readonly #side: QueueSide
  readonly #beatMs: number
  readonly #found: (queues: readonly string[]) => void
  readonly #asking: Asking
  readonly #alarm = new Alarm(() => this.#ask())
  #after: string | undefined
  /** Pages are being asked for; and there may be more than they tell. */
  #asked = false
  #more = false
  /** Code of the last failure. */
  #told: string | undefined
  #stopped = false

  /** @param side of all queues @param found told of them, again and again */
  constructor(side: QueueSide, { beatMs, found }: { beatMs: number; found: (queues: readonly string[]) => void }) {
    this.#side = side
    this.#beatMs = beatMs
    this.#found = found
    const after = (): string | undefined => this.#after
    this.#asking = {
      method: 'queues',
      get params() {
        const at = after()
        return { queue: side.queue, right: 'work', ...(at !== undefined && { after: at }) }
      },
      answered: (result, error) => {
        if (error) this.#failed(new MessError(error.code, error.message, { retryable: error.retryable }))
        else this.#heard(result as QueuesResult)
      },
      told: (method) => {
        if (method !== 'more') return
        if (this.#asked) this.#more = true
        else this.#ask()
      },
    }
    this.#ask()
  }

  stop(): void {
    this.#stopped = true
    this.#alarm.clear()
    this.#side.unask(this.#asking)
  }

  #ask(): void {
    if (this.#stopped) return
    this.#asked = true
    this.#side.ask(this.#asking)
  }

  #heard({ queues, next, follows }: QueuesResult): void {
    this.#found(queues)
    this.#after = next
    this.#told = undefined
    if (this.#stopped) return
    this.#asked = false
    if (next !== undefined) this.#ask()
    else if (this.#more) {
      this.#more = false
      this.#ask()
    } else if (!follows) this.#later()
  }

  #failed(error: MessError): void {
    this.#after = undefined
    this.#asked = false
    if (error.code === 'closed') return
    // What cannot be answered now may be later; it is told once.
    if (!error.retryable && error.code !== this.#told) this.#side.report(error)
    this.#told = error.code
    this.#later()
  }

  /** No link is held in between. */
  #later(): void {
    this.#side.unask(this.#asking)
    this.#alarm.set(elapsed() + this.#beatMs)
  }
}
