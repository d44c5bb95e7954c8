import { ALL_RIGHTS, type Identity } from '../../packages/sdk/src/broker/machine.ts'
import { QueueHome } from '../../packages/sdk/src/broker/queue-home.ts'
import { makeEpoch } from '../../packages/sdk/src/protocol/epoch.ts'
import { decodeQueueRequest } from '../../packages/sdk/src/protocol/requests.ts'
import type { QueueStores } from '../../packages/sdk/src/store/queue-store.suite.ts'
import type { QueueCommit, QueueStore } from '../../packages/sdk/src/store/queue-store.ts'
import type { Maybe } from '../../packages/sdk/src/store/store.ts'
import { Gate } from '../support/held-store.ts'
import { QUEUE, QueueClient } from '../support/queue-client.ts'

export const ANA: Identity = { key: 'issuer ana', user: 'ana', rights: ALL_RIGHTS }

/** One queue at home over a store of the kind that is tested, with a clock that the test turns and a process that it can kill. */
export class QueueStage {
  nowMs = 1_800_000_000_000
  /** When the home wants to be told that it is `due`. */
  readonly wakes: number[] = []
  /** What the home is to be called back with in a moment, where acks may wait for a commit to go with. */
  readonly lingering: (() => void)[] = []
  readonly failures: unknown[] = []
  readonly clients: QueueClient[] = []
  readonly commits = new Gate()
  /** What was written, commit by commit. */
  readonly written: QueueCommit[] = []
  home: QueueHome
  #store: QueueStore
  readonly #stores: QueueStores
  readonly #lingers: boolean
  #epochs = 0
  #lives = 0

  private constructor(stores: QueueStores, store: QueueStore, lingers: boolean) {
    this.#stores = stores
    this.#lingers = lingers
    this.#store = store
    this.home = this.#start()
  }

  static async open(stores: QueueStores, { lingers = false } = {}): Promise<QueueStage> {
    return new QueueStage(stores, await stores.make(), lingers)
  }

  #start(): QueueHome {
    const store = this.#store
    const life = ++this.#lives
    // What a process that died had asked for is answered to nobody.
    const alive = <T>(answer: Maybe<T>): Maybe<T> =>
      answer instanceof Promise
        ? answer.then((value) => (life === this.#lives ? value : new Promise(() => {})))
        : answer
    return new QueueHome({
      queue: QUEUE,
      store: {
        load: (epoch) => alive(store.load(epoch)),
        commit: (commit) => {
          // A process that is dead writes nothing more, whatever it was about to.
          const write = () => (life === this.#lives ? store.commit(commit) : new Promise<void>(() => {}))
          if (life === this.#lives) this.written.push(commit)
          return alive(this.commits.pass(write))
        },
        durable: () => store.durable(),
        page: (...asked) => alive(store.page(...asked)),
        get: (places) => alive(store.get(places)),
        since: (id, lanes) => alive(store.since(id, lanes)),
        find: (...asked) => alive(store.find(...asked)),
        count: (...asked) => alive(store.count(...asked)),
      },
      decode: decodeQueueRequest,
      now: () => this.nowMs,
      newEpoch: () => makeEpoch(this.nowMs + ++this.#epochs, () => 0.5),
      random: () => 0.5,
      wakeAt: (at) => this.wakes.push(at),
      ...(this.#lingers && { linger: (back: () => void) => this.lingering.push(back) }),
      onFailed: (error) => this.failures.push(error),
    })
  }

  async connect({ identity = ANA, name = `client${this.clients.length}` } = {}): Promise<QueueClient> {
    const client = new QueueClient(this.home, { state: { identity, greeted: false, workers: [] }, name })
    this.clients.push(client)
    await client.hello()
    return client
  }

  /** The process dies, with whatever it held, and another one begins over what was kept. Its links are gone without a word. */
  async restart(): Promise<void> {
    this.#store = await this.#stores.reopen(this.#store)
    this.home = this.#start()
  }

  /** The home loses its memory between two events while its links live on, as a Durable Object that hibernates. */
  async hibernate(): Promise<void> {
    await this.restart()
    for (const client of this.clients) if (!client.closed) client.outlive(this.home)
  }

  /** Time passes, and the alarm rings. */
  pass(ms: number): void {
    this.nowMs += ms
    this.home.due()
  }

  /** A moment passes. */
  moment(): void {
    for (const back of this.lingering.splice(0)) back()
  }

  /** Rows, as SQLite counts them. */
  get rows(): number {
    return this.written.reduce(
      (sum, { put, move, remove, facts }) => sum + put.length + move.length + remove.length + facts.length,
      0,
    )
  }
}
