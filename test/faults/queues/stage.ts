import { join } from 'node:path'
import { createMess, type Mess } from '@messkit/sdk'
import { createQueue, type JobPage, type Queue } from '@messkit/sdk/queue'
import { Random } from '../../sim/random.ts'
import { runProxy, type TestProxy } from '../../support/proxy.ts'
import type { TestServer } from '../../support/server.ts'
import type { Scene } from '../breaks.ts'
import { Child, type Spares } from '../child-client.ts'
import { type Login, pause, tokenOf, tokens } from '../client.ts'
import { HistoryRecorder } from '../recorder.ts'
import { putRules } from '../rights.ts'
import { Enqueuer } from './enqueuer.ts'
import type { Outcome, QueueEvent, StoredJob } from './events.ts'
import { Hand, type HandOrders, type Task, type Way } from './hand.ts'
import type { HandAnswer, HandOrder } from './hand-process.ts'
import { queueFiles, readQueueFile } from './queue-file.ts'
import { setClock } from './server-clock.ts'

/** A worker in another process. */
export class ChildHand extends Child<HandOrders, QueueEvent> {
  constructor() {
    super('queues/hand-process.ts')
  }

  rest(): Promise<void> {
    return this.ask({ rest: true } satisfies HandOrder, 'rested' satisfies HandAnswer)
  }

  /** SIGSTOP, or SIGCONT. */
  freeze(frozen: boolean): void {
    process.kill(this.pid, frozen ? 'SIGSTOP' : 'SIGCONT')
  }

  /** Handlers that it was in the middle of when it last wrote something down. */
  get busy(): number {
    const events = this.events()
    const count = (kind: QueueEvent['e']): number => events.filter(([, { e }]) => e === kind).length
    return count('began') - count('ended')
  }
}

/** Somebody who works, here or in a process of its own. */
export interface Working {
  readonly name: string
  readonly leaseMs: number
  readonly proxy: TestProxy
  readonly hand: Hand | ChildHand
}

export interface StageSetup {
  readonly seed: number
  readonly server: TestServer
  readonly vars: Record<string, string>
  readonly logins: readonly Login[]
  readonly leases: readonly number[]
  readonly ways: readonly Way[]
  readonly children: Spares<ChildHand>
  readonly folder: string
}

type Action = 'work' | 'enqueue'

/** What a history is played on: a server, one queue of its own, and those who use it. */
export class QueueStage implements Scene {
  readonly recorder = new HistoryRecorder<QueueEvent>()
  readonly random: Random
  readonly server: TestServer
  readonly vars: Record<string, string>
  readonly queue: string
  readonly enqueuers: Enqueuer[] = []
  workers: Working[] = []
  /** Who looks and manages, on a link that nothing is done to. */
  readonly overseer: Queue<Task>
  readonly #setup: StageSetup
  readonly #mess: Mess
  readonly #before: ReadonlySet<string>
  readonly #proxies = new Set<TestProxy>()
  readonly #denied = new Set<string>()
  readonly #leaving: Promise<void>[] = []
  #names = 0
  #offsetMs = 0
  #furthestMs = 0
  #ended = false

  constructor(setup: StageSetup) {
    const { seed, server, vars } = setup
    this.#setup = setup
    this.random = new Random(seed)
    this.vars = vars
    this.queue = `faults/${seed}`
    const { recorder } = this
    // Lives of the server are part of the history.
    this.server = Object.create(server, {
      restart: {
        value: (more?: Record<string, string>): Promise<void> => {
          recorder.push({ e: 'life' })
          return server.restart(more)
        },
      },
    }) as TestServer
    this.#before = new Set(queueFiles(server.dataDir))
    const token = (): Promise<string> => tokenOf('overseer')
    this.#mess = createMess({ url: server.url, token, reconnect: { minMs: 1, maxMs: 20 } })
    this.#mess.on('error', ({ code }) => recorder.push({ e: 'complaint', what: `the overseer reported ${code}` }))
    this.overseer = createQueue<Task>(this.#mess, this.queue)
    setClock(server.env, 0)
  }

  get proxies(): readonly TestProxy[] {
    return [...this.enqueuers, ...this.workers].map(({ proxy }) => proxy)
  }

  get children(): readonly (Working & { readonly hand: ChildHand })[] {
    return this.workers.flatMap((worker) => {
      const { hand } = worker
      return hand instanceof ChildHand ? [{ ...worker, hand }] : []
    })
  }

  outcome(what: Outcome): void {
    this.recorder.push({ e: 'outcome', what })
  }

  async #proxy(): Promise<TestProxy> {
    const jitter = new Random(this.#draw())
    const proxy = await runProxy(this.server.port, jitter.next)
    this.#proxies.add(proxy)
    return proxy
  }

  /** Each draws its own numbers: when it does depends on the machine, and must change nothing for the others. */
  #draw(): number {
    return this.random.between(0, 2 ** 32 - 1)
  }

  // ---- who is there

  async enqueuer(): Promise<Enqueuer> {
    const { recorder, queue } = this
    const { logins, ways } = this.#setup
    const random = new Random(this.#draw())
    const login = random.pick(logins)
    const name = `enqueuer-${++this.#names}`
    const enqueuer = new Enqueuer({ name, queue, proxy: await this.#proxy(), random, recorder, login, ways })
    this.enqueuers.push(enqueuer)
    return enqueuer
  }

  async hire({ child = false } = {}): Promise<Working> {
    const { recorder, queue } = this
    const random = new Random(this.#draw())
    const login = random.pick(this.#setup.logins)
    const name = `worker-${++this.#names}`
    const proxy = await this.#proxy()
    const leaseMs = random.pick(this.#setup.leases)
    const orders = { url: proxy.url, queue, name, concurrency: random.pick([1, 2, 5]), leaseMs }
    let hand: Hand | ChildHand
    if (child) {
      hand = this.#setup.children.take()
      await hand.start({ ...orders, file: join(this.#setup.folder, name) })
    } else {
      const token = tokens(login, name, { random, recorder })
      hand = new Hand({ ...orders, token, push: (event) => recorder.push(event) })
    }
    const worker = { name, leaseMs, proxy, hand }
    this.workers.push(worker)
    return worker
  }

  #forget({ name }: Working): void {
    this.workers = this.workers.filter((one) => one.name !== name)
  }

  /** SIGKILL. @returns whether it was in the middle of a job */
  async killChild(worker: Working & { readonly hand: ChildHand }): Promise<boolean> {
    this.#forget(worker)
    const { hand, name, proxy } = worker
    await hand.kill()
    this.recorder.merge(hand.events())
    this.recorder.push({ e: 'killed', worker: name })
    await proxy.end()
    return hand.busy > 0
  }

  /** It stops, and gives back what it has if anybody hears it. */
  dismiss(worker: Working & { readonly hand: Hand }): void {
    this.#forget(worker)
    this.#leaving.push(worker.hand.leave().then(() => worker.proxy.end()))
  }

  // ---- rights

  async deny(action: Action): Promise<void> {
    const all = action === 'work' ? this.workers : this.enqueuers
    if (all.length === 0) return
    const { name } = this.random.pick<{ readonly name: string }>(all)
    if (action === 'work') this.recorder.push({ e: 'denied', worker: name })
    this.#denied.add(`acl deny user:${name} ${action} queue`)
    await this.#put()
  }

  async giveBack(): Promise<boolean> {
    if (this.#denied.size === 0) return false
    this.#denied.clear()
    await this.#put()
    // Whoever may not work is not told when they may: any new link asks.
    for (const { proxy } of this.workers) proxy.cut('end')
    return true
  }

  #put(): Promise<void> {
    return putRules(this.server, `queues/${this.queue}`, [...this.#denied])
  }

  // ---- the server's clock

  /** Ahead while it runs; back only while it does not. @returns whether clocks can be set here */
  moveClock(byMs: number): boolean {
    const offsetMs = this.#offsetMs + byMs
    this.recorder.push({ e: 'clock', offsetMs })
    if (!setClock(this.server.env, offsetMs)) {
      this.recorder.push({ e: 'clock', offsetMs: this.#offsetMs })
      return false
    }
    this.#offsetMs = offsetMs
    this.#furthestMs = Math.max(this.#furthestMs, offsetMs)
    return true
  }

  // ---- files

  get file(): string | undefined {
    return queueFiles(this.server.dataDir).find((file) => !this.#before.has(file))
  }

  /** What is stored now, while the server is down. */
  readMiddle(): boolean {
    const { file } = this
    if (file) this.recorder.push({ e: 'stored', jobs: readQueueFile(file) })
    return file !== undefined
  }

  // ---- the end

  /** Nothing is broken any more, and every job comes to its end. */
  async drain(): Promise<true> {
    for (const proxy of this.#proxies) proxy.heal()
    for (const { hand } of this.children) hand.freeze(false)
    await this.giveBack()
    await this.overseer.resume()
    // What was due by a clock that was ahead is due.
    if (this.#offsetMs < this.#furthestMs) this.moveClock(this.#furthestMs - this.#offsetMs)
    if (this.workers.length === 0) await this.hire()
    // What crashes left uncertain is outnumbered, so that the history can show something.
    const [survivor] = this.enqueuers
    for (let uncertain = this.recorder.count('unknown'); survivor && uncertain > 0; uncertain--) survivor.add()
    await Promise.all(this.enqueuers.map((enqueuer) => enqueuer.finish()))
    for (let looks = 1; ; looks++) {
      const { ready, scheduled, retrying, active } = await this.overseer.counts()
      if (ready + scheduled + retrying + active === 0) break
      await pause(25)
      // Who waits for a grace to pass need not wait for it here, where clocks can be set.
      if (looks % 60 === 0) this.moveClock(11_000)
    }
    await Promise.all(this.workers.map(({ hand }) => (hand instanceof ChildHand ? hand.rest() : rest(hand))))
    return true
  }

  /** @param killed reads the file as well, which takes the end of the server */
  async readings(killed: boolean): Promise<StoredJob[][]> {
    const readings = [await this.#listed()]
    const { file } = this
    if (killed && file) {
      await this.server.kill()
      readings.push(readQueueFile(file))
      await this.server.restart(this.vars)
    }
    return readings
  }

  async #listed(): Promise<StoredJob[]> {
    const jobs: StoredJob[] = []
    for (const state of ['ready', 'scheduled', 'retrying', 'dead'] as const) {
      let page: JobPage | undefined
      do {
        page = await this.overseer.list(state, page?.next ? { after: page.next } : {})
        for (const { id, data } of page.jobs) jobs.push({ id, job: (data as Task).job, dead: state === 'dead' })
      } while (page.next)
    }
    return jobs
  }

  /** What everybody last said about themselves, for a history that does not come to rest. */
  async condition(): Promise<string> {
    const counts = await Promise.race([this.overseer.counts(), pause(1_000)])
    const here = this.workers.flatMap(({ name, hand }) =>
      hand instanceof Hand
        ? [`${name}: ${hand.running} running, ${JSON.stringify(hand.status)}`]
        : [`${name}: ${hand.busy}`],
    )
    const enqueuers = this.enqueuers.map(({ name, status }) => `${name}: ${JSON.stringify(status)}`)
    return [`counts: ${JSON.stringify(counts)}`, ...here, ...enqueuers].join('; ')
  }

  /** Idempotent. */
  async end(): Promise<void> {
    if (this.#ended) return
    this.#ended = true
    for (const worker of this.workers) {
      const { hand } = worker
      if (hand instanceof ChildHand) {
        hand.freeze(false)
        await this.killChild({ ...worker, hand })
      } else this.dismiss({ ...worker, hand })
    }
    await Promise.all([...this.#leaving, ...this.enqueuers.map((enqueuer) => enqueuer.close()), this.#mess.close()])
    for (const proxy of this.#proxies) await proxy.end()
    // Whoever comes next has a server with the true time.
    if (this.#furthestMs > 0) {
      await this.server.kill()
      setClock(this.server.env, 0)
      await this.server.restart(this.vars)
    }
  }
}

async function rest(hand: Hand): Promise<void> {
  while (hand.running > 0) await pause(10)
}
