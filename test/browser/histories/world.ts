import type { BrowserContext } from 'playwright-core'
import type { Random } from '../../sim/random.ts'
import { makeToken, runServer, type TestServer } from '../../support/server.ts'
import { type Pages, servePages } from '../pages.ts'
import type { Chromium } from './chromium.ts'
import { type LifeRecord, type Profile, Tab } from './tab.ts'
import { digestOf, type Order, type Told } from './told.ts'

export const TOPIC = 'histories/1'
const HTML =
  '<!doctype html><meta charset="utf-8"><title>Messkit</title><script type="module" src="/script.js"></script>'
export const MOST_TABS = 4
const LOADS = 5

/** What a history is like, whatever happens in it. */
export interface Setting {
  /** Without a server. */
  readonly local: boolean
  /** Another profile publishes and reads, too. */
  readonly second: boolean
  /** One tab at a time goes on where the last one stopped. */
  readonly resuming: boolean
  /** So much room is there at first, in bytes. */
  readonly quota: number | undefined
}

/** The tabs of one history, what they use, and all that they told, in the order in which it arrived. */
export class World {
  readonly random: Random
  readonly setting: Setting
  readonly browser: Chromium
  readonly pages: Pages
  readonly server: TestServer | undefined
  readonly events: { readonly atMs: number; readonly life: LifeRecord | undefined; readonly event: Told }[] = []
  readonly lives: LifeRecord[] = []
  readonly tabs = new Set<Tab>()
  /** What no page may do. */
  readonly troubles: string[] = []
  killed = 0
  readonly #first: Profile
  #second: (Profile & { readonly context: BrowserContext }) | undefined
  #published = 0
  #acked = 0
  #resumed = false

  private constructor(parts: Pick<World, 'random' | 'setting' | 'browser' | 'pages' | 'server'>) {
    this.random = parts.random
    this.setting = parts.setting
    this.browser = parts.browser
    this.pages = parts.pages
    this.server = parts.server
    this.#first = { context: parts.browser, name: 'one' }
  }

  static async make(random: Random, setting: Setting, browser: Chromium): Promise<World> {
    const token = (sub: string) => makeToken({ sub })
    const pages = await servePages({ script: 'test/browser/histories/page.ts', html: HTML, token })
    const server = setting.local ? undefined : await runServer({ ALLOWED_ORIGINS: pages.url })
    if (setting.quota !== undefined) await browser.setQuota(pages.url, setting.quota)
    return new World({ random, setting, browser, pages, server })
  }

  async end(): Promise<void> {
    for (const tab of this.tabs) await this.close(tab)
    await this.#second?.context.close()
    await this.server?.end()
    this.pages.close()
  }

  // ---- the record

  record(event: Told, life?: LifeRecord): void {
    this.events.push({ atMs: Math.round(performance.now()), life, event })
  }

  fault(kind: string): void {
    this.record({ e: 'fault', kind })
  }

  /** What a tab publishes is written down before it is told to: so nothing can be seen of it earlier. */
  publish(tab: Tab, count: number, padBytes = 0): void {
    const { name } = tab.life.options
    const orders: Order[] = []
    for (let i = 0; i < count; i++) {
      const order = ++this.#published
      const id = `${name}.${order}`
      const sly = !this.setting.local && this.random.chance(0.02)
      const note = { id, pad: noise(this.random, padBytes || this.random.pick([0, 0, 10, 100, 1_000])) }
      this.record({ e: 'publish', id, publisher: name, order, ...(sly ? {} : { digest: digestOf(note) }) }, tab.life)
      orders.push({ ...note, sly })
    }
    tab.publish(orders)
  }

  /** How many were published and not acked, for whatever reason. */
  get unacked(): number {
    return this.#published - this.#acked
  }

  /** Until so many more are acked, which may never come. */
  async progress(acks: number, mostMs: number): Promise<void> {
    const enough = this.#acked + acks
    for (const until = performance.now() + mostMs; this.#acked < enough && performance.now() < until; ) await pause(2)
  }

  // ---- tabs

  get open(): Tab[] {
    return this.#in('open')
  }

  get stopped(): Tab[] {
    return this.#in('stopped')
  }

  get away(): Tab[] {
    return this.#in('away')
  }

  /** Those open ones that have the topic in common: where there is no server, a tab that never got a database has its own. */
  get sharing(): Tab[] {
    return this.open.filter(({ life }) => this.shares(life))
  }

  shares({ role }: LifeRecord): boolean {
    return !(this.setting.local && role === 'alone')
  }

  #in(state: Tab['state']): Tab[] {
    return [...this.tabs].filter((tab) => tab.state === state)
  }

  async openTab(profile: Profile = this.#first): Promise<Tab> {
    const tab = await Tab.open(
      profile,
      (life, event) => {
        if (event.e === 'acked') this.#acked++
        this.record(event, life)
      },
      (error) => this.troubles.push(String(error.stack)),
    )
    this.tabs.add(tab)
    await this.load(tab)
    return tab
  }

  /** @param again only if there is one, and has no tab: somebody has to send what was left there */
  async openSecondProfile({ again }: { again: boolean }): Promise<void> {
    if (again && (!this.#second || this.open.some(({ profile }) => profile === this.#second))) return
    this.#second ??= { context: await this.browser.newProfile(), name: 'other' }
    await this.openTab(this.#second)
  }

  async load(tab: Tab): Promise<void> {
    await untilLoaded(() => tab.page.goto(this.pages.url))
    await this.begin(tab)
  }

  async reload(tab: Tab): Promise<void> {
    this.#over(tab)
    await untilLoaded(() => tab.page.reload())
    await this.begin(tab)
  }

  /** A page that was just loaded. */
  async begin(tab: Tab): Promise<void> {
    const resumes =
      this.setting.resuming &&
      tab.profile === this.#first &&
      !this.lives.some(({ alive, options }) => alive && options.resume)
    await tab.begin({
      name: `${tab.profile.name}-${this.lives.length + 1}`,
      topic: TOPIC,
      url: this.server?.url,
      resume: resumes ? { sub: 'resumed', again: this.#resumed } : undefined,
      slow: this.random.chance(0.3),
    })
    this.lives.push(tab.life)
    this.#resumed ||= resumes
  }

  /** As a person closes it, also one whose process is stopped. */
  async close(tab: Tab): Promise<void> {
    this.gone(tab)
    if (tab.pid !== undefined) signal(tab.pid, 'SIGCONT')
    await tab.page.close()
  }

  /** A tab has ended, or is about to. */
  gone(tab: Tab): void {
    this.#over(tab)
    tab.state = 'gone'
    this.tabs.delete(tab)
  }

  #over(tab: Tab): void {
    tab.over()
    if (tab.life.role === 'leader') this.fault('leading tab lost')
  }

  // ---- what all tabs share

  /** SIGKILL of the whole browser. What was in memory only, such as other profiles, is gone. */
  async killBrowser(): Promise<void> {
    const stopped = this.stopped
    for (const tab of this.tabs) this.gone(tab)
    for (const life of this.lives) life.lostDisk ||= life.profile !== this.#first.name
    this.#second = undefined
    const killed = this.browser.killAndStart()
    for (const { pid } of stopped) signal(pid as number, 'SIGKILL')
    await killed
  }
}

export function signal(pid: number, name: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void {
  try {
    process.kill(pid, name)
  } catch {} // it has ended
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** A page that is loaded while the browser's network dies is loaded again, as a person would. */
export async function untilLoaded(load: () => Promise<unknown>): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      await load()
      return
    } catch (error) {
      if (tries === LOADS || !/net::ERR_|chrome-error/.test(String(error))) throw error
    }
  }
}

/** What cannot be made smaller. */
function noise(random: Random, chars: number): string {
  let text = ''
  while (text.length < chars) text += random.next().toString(36).slice(2)
  return text.slice(0, chars)
}
