import type { Random } from '../random.ts'
import type { Scheduler } from '../scheduler.ts'
import type { World } from '../world.ts'
import { copy, Disk } from './indexeddb.ts'
import type { BrowserSwarm } from './swarm.ts'
import { Tab } from './tab.ts'

/** The server, and what stands in front of it. */
export interface Remote {
  readonly world: World
  /** A frame as the server reads it, whose rules may have changed since the page was written. */
  spoil(frame: string): string
}

/** What a browser needs of the world that it is in. */
export interface Surroundings {
  readonly clock: Scheduler
  readonly random: Random
  readonly swarm: BrowserSwarm
  readonly remote: Remote
  fault(kind: string): void
  /** Something in a page was thrown and not caught. */
  threw(tab: Tab, error: unknown): void
  /** A page is dead. */
  died(tab: Tab): void
}

/** One profile of a browser: what its tabs share, and what outlives them. */
export class Browser {
  readonly name: string
  readonly clock: Scheduler
  readonly random: Random
  readonly swarm: BrowserSwarm
  readonly remote: Remote
  readonly disk = new Disk(this)
  readonly locks = new Locks(this)
  readonly bus = new Bus(this)
  readonly tabs = new Set<Tab>()
  online = true
  /** By how much its user has moved the clock, in ms. */
  clockMs = 0
  readonly #surroundings: Surroundings
  #tabCount = 0

  constructor(surroundings: Surroundings, name: string) {
    this.#surroundings = surroundings
    this.name = name
    this.clock = surroundings.clock
    this.random = surroundings.random
    this.swarm = surroundings.swarm
    this.remote = surroundings.remote
  }

  open(): Tab {
    const tab = new Tab(this, `${this.name}.${++this.#tabCount}`)
    this.tabs.add(tab)
    return tab
  }

  /** Some time within the next `ms`. */
  later(ms: number, task: () => void): void {
    this.clock.in(this.random.next() * ms, task)
  }

  fault(kind: string): void {
    this.#surroundings.fault(kind)
  }

  threw(tab: Tab, error: unknown): void {
    this.#surroundings.threw(tab, error)
  }

  /** What a page writes on its console: a copy that cannot be written is one that is fetched again, and all else was not expected. */
  complained(tab: Tab, error: unknown): void {
    if (!(error instanceof Error) || !DISK_TROUBLE.includes(error.name)) this.threw(tab, error)
  }

  buried(tab: Tab): void {
    this.tabs.delete(tab)
    this.disk.gone(tab)
    this.locks.gone(tab)
    this.bus.gone(tab)
    for (const connection of tab.connections) connection.clientCloses()
    this.#surroundings.died(tab)
  }
}

/** Names of errors that a database that fails leads to. */
const DISK_TROUBLE = ['StoreFull', 'AbortError', 'UnknownError', 'InvalidStateError', 'HungError']

interface LockRequest {
  readonly tab: Tab
  readonly name: string
  readonly granted: () => void
  readonly taken: () => void
}

/** Web Locks: exclusive ones, first come, first served. A dead page's are free; a frozen page keeps its own, and may be given more. */
export class Locks {
  readonly #browser: Browser
  readonly #held = new Map<string, LockRequest>()
  #waiting: LockRequest[] = []

  constructor(browser: Browser) {
    this.#browser = browser
  }

  holder(isIt: (name: string) => boolean): Tab | undefined {
    for (const { name, tab } of this.#held.values()) if (isIt(name)) return tab
    return undefined
  }

  names(): Promise<string[]> {
    const tab = Tab.current
    return new Promise((resolve) => {
      this.#browser.later(this.#browser.swarm.lockMs, () => tab.run(() => resolve([...this.#held.keys()])))
    })
  }

  request(
    name: string,
    { signal, ifAvailable = false, steal = false }: LockOptions,
    work: (lock: object | null) => unknown,
  ) {
    const tab = Tab.current
    return new Promise<unknown>((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      if (!tab.acts()) return
      const tell = (lock: object | null, then: () => void): void => {
        this.#browser.later(this.#browser.swarm.lockMs, () =>
          tab.run(() => {
            Promise.resolve(work(lock)).then(resolve, reject).finally(then)
          }),
        )
      }
      const request: LockRequest = {
        tab,
        name,
        granted: () => tell({ name }, () => this.#release(request)),
        taken: () => tab.run(() => reject(new DOMException('The lock was stolen', 'AbortError'))),
      }
      if (steal) {
        this.#browser.fault('lead taken over')
        this.#held.get(name)?.taken()
        this.#held.set(name, request)
        request.granted()
        return
      }
      if (ifAvailable && this.#taken(name)) return tell(null, () => {})
      this.#waiting.push(request)
      signal?.addEventListener('abort', () => {
        if (!this.#waiting.includes(request)) return
        this.#waiting = this.#waiting.filter((other) => other !== request)
        reject(signal.reason)
      })
      this.#grant()
    })
  }

  gone(tab: Tab): void {
    this.#waiting = this.#waiting.filter((request) => request.tab !== tab)
    for (const [name, request] of this.#held) if (request.tab === tab) this.#held.delete(name)
    this.#grant()
  }

  #taken(name: string): boolean {
    return this.#held.has(name) || this.#waiting.some((request) => request.name === name)
  }

  #release(request: LockRequest): void {
    if (!request.tab.acts() || this.#held.get(request.name) !== request) return
    this.#held.delete(request.name)
    this.#grant()
  }

  #grant(): void {
    this.#waiting = this.#waiting.filter((request) => {
      if (this.#held.has(request.name)) return true
      this.#held.set(request.name, request)
      request.granted()
      return false
    })
  }
}

interface LockOptions {
  readonly signal?: AbortSignal
  readonly ifAvailable?: boolean
  readonly steal?: boolean
}

/** What BroadcastChannels of one browser say to each other, in the order in which each of them says it. */
export class Bus {
  readonly #browser: Browser
  readonly #channels = new Set<Channel>()

  constructor(browser: Browser) {
    this.#browser = browser
  }

  join(channel: Channel): void {
    this.#channels.add(channel)
  }

  leave(channel: Channel): void {
    this.#channels.delete(channel)
  }

  gone(tab: Tab): void {
    for (const channel of this.#channels) if (channel.tab === tab) this.#channels.delete(channel)
  }

  post(from: Channel, data: unknown): void {
    const { clock, random, swarm } = this.#browser
    for (const to of this.#channels) {
      if (to === from || to.name !== from.name) continue
      const at = Math.max((from.lastAt.get(to) ?? 0) + 0.001, clock.now + random.next() * swarm.busMs)
      from.lastAt.set(to, at)
      const copied = copy(data)
      clock.at(at, () => {
        if (to.tab.deaf) this.#browser.fault('bus message lost')
        else to.tab.run(() => to.hear(copied))
      })
    }
  }
}

/** A `BroadcastChannel`. */
export class Channel {
  readonly tab = Tab.current
  readonly name: string
  readonly lastAt = new Map<Channel, number>()
  onmessage: ((event: { readonly data: unknown }) => void) | undefined
  #open = true

  constructor(name: string) {
    this.name = name
    if (this.tab.acts()) this.tab.browser.bus.join(this)
  }

  postMessage(data: unknown): void {
    if (this.tab.acts()) this.tab.browser.bus.post(this, data)
  }

  hear(data: unknown): void {
    if (this.#open) this.onmessage?.({ data })
  }

  close(): void {
    this.#open = false
    this.tab.browser.bus.leave(this)
  }
}
