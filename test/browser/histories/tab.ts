import type { BrowserContext, CDPSession, Page } from 'playwright-core'
import type { FinalLog } from '../../support/checker/history.ts'
import type { Batch, LifeOptions, Order, Told } from './told.ts'

const UNREACHABLE = { latency: 0, downloadThroughput: -1, uploadThroughput: -1 }

export interface State {
  readonly connection: string
  readonly waiting: number
  readonly refused: readonly string[]
}

/** What tabs share: storage, an outbox, and who resumes. */
export interface Profile {
  readonly context: Pick<BrowserContext, 'newPage'>
  readonly name: string
}

/** One loading of one page, as it is known outside: what it told outlives it. */
export interface LifeRecord {
  readonly options: LifeOptions
  /** So many events have arrived. */
  told: number
  role: string
  readonly profile: string
  /** It may still do and hear things. */
  alive: boolean
  /** Its page had no database any more. */
  lostStorage: boolean
  /** What it had stored is gone with its profile. */
  lostDisk: boolean
}

/** @param life none before a page begins to live */
export type Hear = (life: LifeRecord | undefined, told: Told) => void

/** A tab of a browser: open, or stopped with SIGSTOP, or on another page with this one in the back/forward cache, or gone. */
export class Tab {
  readonly page: Page
  readonly session: CDPSession
  readonly profile: Profile
  readonly #hear: Hear
  state: 'open' | 'stopped' | 'away' | 'gone' = 'open'
  online = true
  #life: LifeRecord | undefined
  /** While its process is stopped. */
  pid: number | undefined

  private constructor(profile: Profile, page: Page, session: CDPSession, hear: Hear) {
    this.profile = profile
    this.page = page
    this.session = session
    this.#hear = hear
  }

  static async open(profile: Profile, hear: Hear, trouble: (error: Error) => void): Promise<Tab> {
    const page = await profile.context.newPage()
    page.on('pageerror', trouble)
    const session = await page.context().newCDPSession(page)
    const tab = new Tab(profile, page, session, hear)
    page.on('console', (message) => hear(tab.#life, { e: 'console', text: message.text() }))
    session.on('Runtime.bindingCalled', ({ payload }) => tab.#told(JSON.parse(payload) as Batch))
    await session.send('Runtime.enable')
    await session.send('Runtime.addBinding', { name: 'tell' })
    return tab
  }

  get life(): LifeRecord {
    return this.#life as LifeRecord
  }

  /** A page that was just loaded begins to live. */
  async begin(options: LifeOptions): Promise<void> {
    this.#life = {
      options,
      profile: this.profile.name,
      told: 0,
      role: '',
      alive: true,
      lostStorage: false,
      lostDisk: false,
    }
    await this.ask(`begin(${JSON.stringify(options)})`)
  }

  /** Nothing more comes of this life. */
  over(): void {
    if (this.#life) this.#life.alive = false
  }

  // ---- what a page is asked

  /** Done when the page comes to it, which may be never. */
  publish(orders: readonly Order[]): void {
    this.ask(`life.publish(${JSON.stringify(orders)})`).catch(() => {})
  }

  /** What was told and lost on its way, as where the page was put away that very moment. */
  async resync(): Promise<void> {
    this.#told(await this.ask<Batch>(`life.since(${this.life.told})`))
    await this.#confirm()
  }

  #confirm(): Promise<void> {
    return this.ask(`life.confirm(${this.life.told})`)
  }

  hurry(): Promise<void> {
    return this.ask('life.hurry()')
  }

  status(): Promise<State> {
    return this.ask('life.state()')
  }

  /** For whoever wants to know why nothing moves. */
  look(): Promise<object> {
    return this.ask('life.look()')
  }

  log(reverse: boolean): Promise<FinalLog> {
    return this.ask(`life.log(${reverse})`)
  }

  async ask<T = void>(expression: string): Promise<T> {
    const { result, exceptionDetails } = await this.session.send('Runtime.evaluate', {
      expression,
      awaitPromise: true,
      returnByValue: true,
    })
    if (exceptionDetails)
      throw new Error(`${expression.slice(0, 80)}: ${exceptionDetails.exception?.description ?? exceptionDetails.text}`)
    return result.value as T
  }

  async setOnline(online: boolean): Promise<void> {
    this.online = online
    await this.session.send('Network.enable')
    await this.session.send('Network.emulateNetworkConditions', { ...UNREACHABLE, offline: !online })
  }

  // ---- what it tells

  #told({ life: name, at, told }: Batch): void {
    const life = this.#life
    // A hole is filled by asking again.
    if (!life || life.options.name !== name || at > life.told) return
    const news = told.slice(life.told - at)
    for (const event of news) {
      if (event.e === 'role') life.role = event.role
      this.#hear(life, event)
    }
    life.told += news.length
    const { resume } = life.options
    if (resume && news.some((event) => event.e === 'handled' && event.sub === resume.sub))
      this.#confirm().catch(() => {}) // it is gone, or will be asked again
  }
}
