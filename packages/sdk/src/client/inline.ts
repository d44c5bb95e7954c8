import { soon } from '../platform.ts'
import { MessError } from './errors.ts'
import type { Mess } from './mess.ts'
import type { QueueSide } from './queue-side.ts'
import type { Ack } from './receipt.ts'
import type { Job, Turns, Working, WorkOptions } from './worker.ts'

/** Jobs that are handled where they are enqueued, loaded by tests that want that. */

/** So often a handler is given one job: one that puts it off for ever would never let a test go on. */
const DELIVERIES = 1_000

type Handler<T> = (job: Job<T>) => unknown
type Begin<T> = (handler: Handler<T>, turns: Turns, onError: NonNullable<WorkOptions['onError']>) => Working<T>

interface Asked {
  readonly line: string
  readonly key: string | undefined
  readonly over: PromiseWithResolvers<Ack>
}

/** A job that was enqueued here and is not over. */
interface Open {
  /** By its last attempt. */
  thrown: unknown
  deliveries: number
}

/**
 * A worker that belongs to a handle. Jobs go the way that they go everywhere, through the queue's home in this process, but nothing waits
 * for its time, and whoever enqueues waits until the job is over.
 */
export class Inline<T> {
  readonly #mess: Mess
  readonly #side: QueueSide
  readonly #work: () => Working<T>
  readonly #open = new Map<number, Open>()
  /** What was thrown for jobs of which it is not known yet whether they were enqueued here: a job may be given out before it is acked. */
  readonly #early = new Map<number, MessError>()
  #adding = 0
  #worker: Working<T> | undefined
  #asked: Asked[] = []

  constructor(mess: Mess, side: QueueSide, handler: Handler<T>, begin: Begin<T>) {
    this.#mess = mess
    this.#side = side
    const patient = (job: Job<T>): unknown => {
      const open = this.#open.get(job.id)
      return open && ++open.deliveries > DELIVERIES ? job.bury(`put off ${DELIVERIES} times`) : handler(job)
    }
    const turns: Turns = {
      begin: () => true,
      ended: () => {
        // Behind what has just been said of the job.
        soon(() => this.#hurry([...this.#open.keys()]))
        this.#worker?.next()
      },
      // A home in the process may have given it jobs while it was made.
      changed: () => soon(() => this.#worker?.next()),
      capacity: () => undefined,
    }
    this.#work = () =>
      begin(patient, turns, (error, { id }) => {
        const open = this.#open.get(id)
        if (open) open.thrown = error.cause
        else if (this.#adding > 0) this.#early.set(id, error)
        else side.report(error)
      })
  }

  /** Resolves when the job is over. What is asked in one go is done one after the other, and over together. */
  add(line: string, key: string | undefined): Promise<Ack> {
    const over = Promise.withResolvers<Ack>()
    this.#asked.push({ line, key, over })
    if (this.#asked.length === 1) soon(() => void this.#enqueue(this.#asked.splice(0)))
    return over.promise
  }

  async #enqueue(asked: readonly Asked[]): Promise<void> {
    const ends: (() => void)[] = []
    for (const { line, key, over } of asked) {
      try {
        // By now it is known where its queues live.
        const { outbox } = this.#side
        if (this.#mess.status.connection !== 'local')
          throw new MessError('bad_option', 'inline: is for a client without a url')
        this.#worker ??= this.#work()
        const ack = await this.#adds(outbox.add(line, key))
        // Another's end is not waited for: it may be the one whose handler asks.
        if (!ack.duplicate) await this.#over(ack.offset)
        ends.push(() => over.resolve(ack))
      } catch (error) {
        ends.push(() => over.reject(error))
      }
    }
    for (const end of ends) end()
  }

  async #adds(ack: PromiseLike<Ack>): Promise<Ack> {
    this.#adding++
    try {
      const known = await ack
      if (!known.duplicate) {
        this.#open.set(known.offset, { thrown: this.#early.get(known.offset)?.cause, deliveries: 0 })
        this.#early.delete(known.offset)
      }
      return known
    } finally {
      if (--this.#adding === 0) {
        for (const error of this.#early.values()) this.#side.report(error)
        this.#early.clear()
      }
    }
  }

  async #over(id: number): Promise<void> {
    const open = this.#open.get(id) as Open
    this.#hurry([id])
    try {
      await (await this.#side.extras()).watch.result(id)
    } catch (error) {
      const { code, message } = error as MessError
      throw new MessError(code, message, { cause: open.thrown })
    } finally {
      this.#open.delete(id)
    }
  }

  /** Those that wait for their time, or for another attempt, are ready. */
  #hurry(ids: readonly number[]): void {
    if (ids.length > 0) this.#side.answer('promote', { ids }).catch(() => {})
  }
}
