import type { Connection } from '../network.ts'
import type { Browser } from './browser.ts'
import type { Transaction } from './indexeddb.ts'

/**
 * A page and its process. All of its code runs in turns, one event each: the next event of any page comes only once everything
 * that the turn has set going has run. So whatever runs belongs to the page whose turn it is, and nothing of a dead page ever runs.
 */
export class Tab {
  static #current: Tab | undefined
  readonly browser: Browser
  readonly name: string
  readonly bornAt: number
  readonly listeners = new Map<string, Set<() => void>>()
  readonly connections = new Set<Connection>()
  /** Those that were used in this turn. */
  readonly transactions = new Set<Transaction>()
  visible = true
  /** What is posted to it never reaches it: it is in the back/forward cache. */
  deaf = false
  #state: 'running' | 'frozen' | 'dead' = 'running'
  #fuse: number | undefined
  #catchingUp = 0
  /** Events that came while it was frozen or busy, and those behind them. */
  readonly #late: (() => void)[] = []

  constructor(browser: Browser, name: string) {
    this.browser = browser
    this.name = name
    this.bornAt = browser.clock.now
  }

  /** The page whose turn it is. */
  static get current(): Tab {
    if (!Tab.#current) throw new Error('No page is running')
    return Tab.#current
  }

  static get running(): Tab | undefined {
    return Tab.#current
  }

  static leave(): void {
    const tab = Tab.#current as Tab
    for (const transaction of tab.transactions) transaction.turnEnded()
    tab.transactions.clear()
    Tab.#current = undefined
  }

  /** The world that it was in has ended. */
  static reset(): void {
    Tab.#current = undefined
  }

  get dead(): boolean {
    return this.#state === 'dead'
  }

  get frozen(): boolean {
    return this.#state === 'frozen'
  }

  /** An event of this page. What comes while another one has its turn, or behind others, stands in line. */
  run(task: () => void): void {
    if (this.dead) return
    if (!Tab.#current && !this.frozen && this.#late.length === 0) {
      this.#turn(task)
      return
    }
    this.#late.push(task)
    if (this.#late.length === 1 && !this.frozen) this.#catchUp()
  }

  #turn(task: () => void): void {
    Tab.#current = this
    try {
      task()
    } catch (error) {
      this.browser.threw(this, error)
    }
  }

  listen(event: string, listener: () => void): void {
    this.listeners.set(event, (this.listeners.get(event) ?? new Set()).add(listener))
  }

  fire(event: string): void {
    this.run(() => {
      for (const listener of [...(this.listeners.get(event) ?? [])]) listener()
    })
  }

  freeze(): void {
    if (!this.dead) this.#state = 'frozen'
  }

  thaw(): void {
    if (!this.frozen) return
    this.#state = 'running'
    this.deaf = false
    this.#catchUp()
  }

  #catchUp(): void {
    const run = ++this.#catchingUp
    this.browser.later(0, () => {
      if (this.#state !== 'running' || run !== this.#catchingUp) return
      const task = this.#late[0]
      if (!task) return
      this.#turn(task)
      this.#late.shift()
      if (this.#late.length > 0) this.#catchUp()
    })
  }

  /** It dies in the middle of what it does, after so many more things that it does to the world. */
  light(fuse: number): void {
    this.#fuse = fuse
  }

  /** Asked before anything leaves the page: whether it still does. */
  acts(): boolean {
    if (this.#fuse !== undefined && this.#fuse-- <= 0) this.die()
    return !this.dead
  }

  /** No event tells it so. */
  die(): void {
    if (this.dead) return
    this.#state = 'dead'
    this.#late.length = 0
    this.browser.buried(this)
  }
}
