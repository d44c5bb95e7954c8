import { TopicHome } from '../../packages/sdk/src/broker/home.ts'
import { ALL_RIGHTS, type Identity, NOBODY } from '../../packages/sdk/src/broker/machine.ts'
import type { Retention } from '../../packages/sdk/src/broker/retention.ts'
import { makeEpoch } from '../../packages/sdk/src/protocol/epoch.ts'
import { fault } from '../../packages/sdk/src/protocol/error-codes.ts'
import { decodeRequest } from '../../packages/sdk/src/protocol/requests.ts'
import type { Stores } from '../../packages/sdk/src/store/store.suite.ts'
import type { LogStore } from '../../packages/sdk/src/store/store.ts'
import { FrameClient, TOPIC } from '../support/frame-client.ts'
import { HeldStore } from '../support/held-store.ts'

export interface Arriving {
  readonly identity?: Identity
  /** Without it the client has a name of its own. */
  readonly publisher?: string
  /** Does not say hello. */
  readonly silent?: boolean
}

/** One topic at home over a store of the kind that is tested, with a clock that the test turns and a process that it can kill. */
export class Stage {
  nowMs = 1_800_000_000_000
  /** When the home wants to be told that it is `due`. */
  readonly wakes: number[] = []
  readonly failures: unknown[] = []
  readonly clients: FrameClient[] = []
  store: HeldStore
  home: TopicHome
  retention: Retention = {}
  readonly #stores: Stores
  #epochs = 0

  private constructor(stores: Stores, store: LogStore) {
    this.#stores = stores
    this.store = new HeldStore(store)
    this.home = this.#start()
  }

  static async open(stores: Stores): Promise<Stage> {
    return new Stage(stores, await stores.make())
  }

  #start(): TopicHome {
    return new TopicHome({
      topic: TOPIC,
      retention: this.retention,
      store: this.store,
      decode: decodeRequest,
      now: () => this.nowMs,
      newEpoch: () => makeEpoch(this.nowMs + ++this.#epochs, () => 0.5),
      wakeAt: (at) => this.wakes.push(at),
      // A token here is who it is for and when it expires.
      verify: async (token) => {
        const [key = '', expiresAt] = token.split(' ')
        return key === 'bad'
          ? fault('token_invalid')
          : { key, user: key, rights: ALL_RIGHTS, ...(expiresAt && { expiresAt: Number(expiresAt) }) }
      },
      onFailed: (error) => this.failures.push(error),
    })
  }

  /** A new link. */
  async connect({
    identity = NOBODY,
    publisher = `publisher_${this.clients.length}`,
    silent = false,
  }: Arriving = {}): Promise<FrameClient> {
    const client = new FrameClient(this.home, { state: { identity, greeted: false, subscriptions: [] }, publisher })
    this.clients.push(client)
    if (!silent) await client.hello()
    return client
  }

  /** The process dies, with whatever it held, and another one begins over what was kept. Its links are gone without a word. */
  async restart(retention: Retention = this.retention): Promise<void> {
    await this.#forget(retention)
  }

  /** The home loses its memory between two events while its links live on, as a Durable Object that hibernates. */
  async hibernate(): Promise<void> {
    const alive = this.clients.filter(({ closed }) => !closed)
    await this.#forget(this.retention)
    for (const client of alive) client.outlive(this.home)
  }

  async #forget(retention: Retention): Promise<void> {
    this.retention = retention
    this.store = new HeldStore(await this.#stores.reopen(this.store.inner))
    this.home = this.#start()
  }

  /** The alarm rings. */
  due(): void {
    this.home.due()
  }

  /** What no subscriber may ever see, of all that any of them saw. */
  get problems(): string[] {
    return this.clients.flatMap(({ readers }) => [...readers.values()].flatMap(({ problems }) => problems))
  }
}
