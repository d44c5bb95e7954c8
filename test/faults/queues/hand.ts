import { type AskToken, createMess, type Mess } from '@messkit/sdk'
import { createQueue, type Job, type Worker } from '@messkit/sdk/queue'
import { pause } from '../client.ts'
import type { QueueEvent } from './events.ts'

/** What handlers do with a job while a history is young, one delivery after the other; later all of them just do it. */
export const WAYS = [
  'do',
  'throw',
  'retry',
  'bury',
  'release',
  'snooze',
  'slower than the lease',
  'extend',
  'until the signal',
] as const
export type Way = (typeof WAYS)[number]

export interface Task {
  readonly job: string
  readonly ways: readonly Way[]
  /** How long its handler takes. */
  readonly ms: number
  /** From here on, by the true clock, handlers do what they should. */
  readonly untilMs: number
  readonly pad: string
  readonly padChars: number
}

export interface HandOrders {
  readonly url: string
  readonly queue: string
  readonly name: string
  readonly concurrency: number
  readonly leaseMs: number
}

export interface HandSetup extends HandOrders {
  readonly token: AskToken
  readonly push: (event: QueueEvent) => void
}

/** What networks, logins and administrators make a client say. */
export const EXPECTED = ['token_unavailable', 'forbidden', 'token_expired', 'access_changed']

/** A client that works, and writes down what its handlers see. */
export class Hand {
  readonly #mess: Mess
  readonly #setup: HandSetup
  readonly #worker: Worker
  #runCount = 0

  constructor(setup: HandSetup) {
    const { url, queue, name, concurrency, leaseMs, token, push } = setup
    this.#setup = setup
    this.#mess = createMess({ url, token, reconnect: { minMs: 1, maxMs: 30 } })
    this.#mess.on('error', ({ code, message }) => {
      if (!EXPECTED.includes(code)) push({ e: 'complaint', what: `${name} reported ${code}: ${message}` })
    })
    push({ e: 'hired', worker: name, leaseMs })
    this.#worker = createQueue<Task>(this.#mess, queue).work((job) => this.#handle(job), {
      concurrency,
      leaseMs,
      onError: () => {}, // handlers throw on purpose
    })
  }

  get running(): number {
    return this.#worker.running
  }

  get status(): Mess['status'] {
    return this.#mess.status
  }

  /** Gives back what it has. */
  async leave(): Promise<void> {
    this.#setup.push({ e: 'left', worker: this.#setup.name })
    await this.#mess.close()
  }

  async #handle(job: Job<Task>): Promise<void> {
    const { push, name, leaseMs } = this.#setup
    const { data, id, attempt, signal } = job
    const run = `${name} run ${++this.#runCount}`
    const intact = data.pad.length === data.padChars
    push({ e: 'began', run, worker: name, job: data.job, id, delivery: attempt, intact })
    signal.addEventListener('abort', () => {
      push({ e: 'aborted', run, why: (signal.reason as { code?: string }).code ?? String(signal.reason) })
    })
    const way = Date.now() < data.untilMs ? (data.ways[attempt - 1] ?? 'do') : 'do'
    if (way === 'extend') {
      for (let waits = 0; waits < 6 && !signal.aborted; waits++) {
        job.extend()
        push({ e: 'extended', run })
        await pause(leaseMs / 4)
      }
    } else if (way === 'until the signal') await aborted(signal)
    // However it is told: it does not listen.
    else if (way === 'slower than the lease') await pause(leaseMs * 1.3)
    else if (data.ms > 0 || way === 'release') await pause(Math.max(data.ms, way === 'release' ? 20 : 0))
    const end = (said: Extract<QueueEvent, { e: 'ended' }>['said']): void => push({ e: 'ended', run, said })
    switch (way) {
      case 'throw':
        end('retry')
        throw new Error('it failed')
      case 'retry':
        job.retry({ delayMs: 30, reason: 'again' })
        return end('retry')
      case 'bury':
        job.bury('no use')
        return end('bury')
      case 'release':
        job.release()
        return end('release')
      case 'snooze':
        job.release({ delayMs: 60 })
        return end('snooze')
      default:
        return end('ack')
    }
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve())
  })
}
