import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Browser, type BrowserContext, type CDPSession, chromium, type Page } from 'playwright-core'
import { closeDatabases } from '../databases.ts'
import { launchOptions } from '../pages.ts'

const TICKS_PER_SECOND = 100
const BURN_MS = 30

/** A browser with a profile on the disk, and processes that can be told apart and ended one by one. */
export class Chromium {
  readonly #folder = mkdtempSync(join(tmpdir(), 'messkit-profile-'))
  #context!: BrowserContext
  #cdp!: CDPSession
  #quotas!: CDPSession
  #internals!: Page

  static async start(): Promise<Chromium> {
    const browser = new Chromium()
    await browser.#launch()
    return browser
  }

  async #launch(): Promise<void> {
    this.#context = await chromium.launchPersistentContext(this.#folder, {
      ...launchOptions(),
      ignoreDefaultArgs: ['--disable-back-forward-cache'],
    })
    this.#cdp = await this.#browser.newBrowserCDPSession()
    this.#internals = await this.#context.newPage()
    // A quota that is set holds as long as whoever set it.
    const [first] = this.#context.pages()
    this.#quotas = await this.#context.newCDPSession(first as Page)
  }

  get #browser(): Browser {
    return this.#context.browser() as Browser
  }

  newPage(): Promise<Page> {
    return this.#context.newPage()
  }

  /** A profile beside this one, which ends with the browser. */
  newProfile(): Promise<BrowserContext> {
    return this.#browser.newContext()
  }

  /** @param bytes left out, the origin has what the disk has */
  async setQuota(url: string, bytes?: number): Promise<void> {
    const { origin } = new URL(url)
    const size = bytes === undefined ? {} : { quotaSize: bytes }
    await this.#quotas.send('Storage.overrideQuotaForOrigin', { origin, ...size })
  }

  closeDatabases(url: string): Promise<void> {
    return closeDatabases(this.#internals, url)
  }

  /** The process of a page. It alone has used as much of a processor as the page says: so it works until that tells them apart. */
  async rendererOf(page: Page, session: CDPSession): Promise<number> {
    await session.send('Performance.enable')
    const processes = await this.#processes()
    let candidates = processes.filter(({ type }) => type === 'renderer').map(({ id }) => id)
    for (;;) {
      const before = candidates.map(ticksOf)
      const { metrics } = await session.send('Performance.getMetrics')
      const after = candidates.map(ticksOf)
      const seconds = metrics.find(({ name }) => name === 'ProcessTime')?.value ?? Number.NaN
      const ticks = Math.round(seconds * TICKS_PER_SECOND)
      candidates = candidates.filter((_, i) => (before[i] as number) <= ticks && ticks <= (after[i] as number))
      if (candidates.length === 0) throw new Error('no process of the browser is the one of the page')
      if (candidates.length === 1) return candidates[0] as number
      await page.evaluate((ms) => {
        for (const until = performance.now() + ms; performance.now() < until; );
      }, BURN_MS)
    }
  }

  /** All connections end; the browser starts the process again by itself. @returns whether there was one */
  async killNetwork(): Promise<boolean> {
    const network = (await this.#processes()).find(({ type }) => type.startsWith('network'))
    try {
      return network !== undefined && process.kill(network.id, 'SIGKILL')
    } catch {
      return false // it was killed, and nobody has needed it since
    }
  }

  /** SIGKILL, and the same profile again. Whoever has stopped a process of it ends that, too. */
  async killAndStart(): Promise<void> {
    const main = (await this.#processes()).find(({ type }) => type === 'browser')
    const gone = new Promise((resolve) => this.#context.once('close', resolve))
    process.kill(main?.id as number, 'SIGKILL')
    await gone
    await this.#launch()
  }

  async end(): Promise<void> {
    await this.#context.close()
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 })
  }

  async #processes(): Promise<{ type: string; id: number }[]> {
    return (await this.#cdp.send('SystemInfo.getProcessInfo')).processInfo
  }
}

/** Processor time of a process so far, or below all if it is gone. */
function ticksOf(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return Number(fields[11]) + Number(fields[12])
  } catch {
    return -1
  }
}
