import { createMess, type Mess, MessError } from '@messkit/sdk'
import { createQueue, type EnqueuedJob, type EnqueueOptions, type Queue } from '@messkit/sdk/queue'
import type { Random } from '../../sim/random.ts'
import type { TestProxy } from '../../support/proxy.ts'
import { type Login, pad, tokens } from '../client.ts'
import type { HistoryRecorder } from '../recorder.ts'
import type { QueueEvent } from './events.ts'
import { EXPECTED, type Task, type Way } from './hand.ts'

export interface EnqueuerSetup {
  readonly name: string
  readonly queue: string
  readonly proxy: TestProxy
  readonly random: Random
  readonly recorder: HistoryRecorder<QueueEvent>
  readonly login: Login
  /** What handlers are asked to do. */
  readonly ways: readonly Way[]
}

/** For so long after it was enqueued a job is handled in odd ways. */
const YOUNG_MS = 1_500

/** A client that enqueues, behind a proxy of its own. */
export class Enqueuer {
  readonly name: string
  readonly proxy: TestProxy
  readonly #setup: EnqueuerSetup
  readonly #mess: Mess
  readonly #queue: Queue<Task>
  readonly #open = new Set<string>()
  readonly #settled: Promise<void>[] = []
  #count = 0
  #crashed = false

  constructor(setup: EnqueuerSetup) {
    const { name, queue, proxy, random, recorder, login } = setup
    this.#setup = setup
    this.name = name
    this.proxy = proxy
    const reconnect = { minMs: 1, maxMs: random.pick([1, 20, 60]) }
    this.#mess = createMess({ url: proxy.url, token: tokens(login, name, { random, recorder }), reconnect })
    this.#mess.on('error', ({ code, message }) => {
      if (!EXPECTED.includes(code)) recorder.push({ e: 'complaint', what: `${name} reported ${code}: ${message}` })
    })
    this.#mess.on('refused', () => {}) // whoever waits for the job is told
    this.#queue = createQueue<Task>(this.#mess, queue)
  }

  /** Some jobs, one by one or together. @param own options of all of them */
  add(own: EnqueueOptions = {}): void {
    const { random } = this.#setup
    const tasks = Array.from({ length: random.pick([1, 1, 3, 8]) }, () => this.#task())
    const options = { ...this.#options(), ...own }
    for (const { job } of tasks) {
      this.#open.add(job)
      this.#setup.recorder.push({ e: 'enqueue', job })
    }
    if (random.chance(0.5)) this.#await(tasks, this.#queue.enqueueMany(tasks, options))
    else
      for (const task of tasks)
        this.#await(
          [task],
          this.#queue.enqueue(task, options).then((job) => [job]),
        )
  }

  #task(): Task {
    const { random, ways, name } = this.#setup
    const odd = random.chance(0.4) ? random.between(1, 3) : 0
    const padding = random.chance(0.1) ? pad(8_000) : pad(random.pick([0, 40]))
    return {
      job: `${name} job ${++this.#count}`,
      ways: Array.from({ length: odd }, () => random.pick(ways)),
      ms: random.pick([0, 0, 5, 50]),
      untilMs: Date.now() + YOUNG_MS,
      pad: padding,
      padChars: padding.length,
    }
  }

  #options(): EnqueueOptions {
    const { random } = this.#setup
    return {
      attempts: random.pick([1, 3, 20]),
      backoff: { type: random.pick(['fixed', 'exponential']), initialMs: random.pick([10, 100]), maxMs: 400 },
      ...(random.chance(0.2) && { delayMs: random.between(1, 600) }),
      ...(random.chance(0.3) && { priority: random.between(0, 9) }),
    }
  }

  #await(tasks: readonly Task[], answer: Promise<EnqueuedJob[]>): void {
    const { recorder } = this.#setup
    const settle = (job: string, event: QueueEvent): void => {
      if (this.#open.delete(job)) recorder.push(event)
    }
    this.#settled.push(
      answer.then(
        (jobs) => {
          jobs.forEach(({ id, duplicate }, i) => {
            const { job } = tasks[i] as Task
            settle(job, { e: 'enqueued', job, id, duplicate })
          })
        },
        (error) => {
          const code = error instanceof MessError ? error.code : String(error)
          const what = `${this.name}: enqueueing failed with ${code}`
          if (code !== 'forbidden' && !this.#crashed) recorder.push({ e: 'complaint', what })
          // Of many that were sent together, those before the refused one are stored.
          for (const { job } of tasks) settle(job, { e: tasks.length === 1 ? 'refused' : 'unknown', job })
        },
      ),
    )
  }

  /** All that was enqueued is stored, or refused. */
  async finish(): Promise<void> {
    await Promise.all(this.#settled)
  }

  /** What the machine would do to a process that dies. */
  async crash(): Promise<void> {
    this.#crashed = true
    for (const job of this.#open) this.#setup.recorder.push({ e: 'unknown', job })
    this.#open.clear()
    this.proxy.refusing = true
    this.proxy.cut('reset')
    await this.close()
  }

  async close(): Promise<void> {
    this.#crashed = true
    await this.#mess.close()
    await this.proxy.end()
  }

  get status(): Mess['status'] {
    return this.#mess.status
  }
}
