import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import { afterAll, expect, onTestFinished, vi } from 'vitest'
import { makeToken } from '../support/server.ts'
import * as databases from './factories.ts'
import { launchOptions, type Pages, SDK, servePages } from './pages.ts'
import type * as Sdk from './sdk.ts'

/** What a page of the tests has: the SDK, a place for what a test keeps there, and where its databases are. */
declare global {
  var sdk: typeof Sdk
  // biome-ignore lint/suspicious/noExplicitAny: each test keeps what it likes there.
  var kept: any
  var factories: typeof databases.factories
  var databaseCount: typeof databases.databaseCount
}

const PAGE = `<!doctype html><meta charset="utf-8"><title>Messkit</title>
<script type="module">
  import * as sdk from '/script.js'
  ${databases.factories}
  ${databases.databaseCount}
  Object.assign(globalThis, { sdk, kept: {}, factories, databaseCount })
</script>`

/** How long a condition may take: far beyond what a healthy run needs, since machines are shared. */
export const WAIT_MS = 30_000
/** For tests that start a server, too. */
export const LONG_MS = 120_000

export type Site = Omit<Pages, 'close'>

/** Pages with the SDK and tokens for whoever asks, on an origin of their own until the test ends. @param buckets `false` for what browsers other than Chromium have */
export async function site({ buckets = true } = {}): Promise<Site> {
  const html = buckets ? PAGE : `<script>delete Navigator.prototype.storageBuckets</script>${PAGE}`
  const pages = await servePages({ script: SDK, html, token: (user) => makeToken({ sub: user }) })
  onTestFinished(() => pages.close())
  return pages
}

let shared: Promise<Browser> | undefined

afterAll(async () => void (await (await shared)?.close()))

/** Tabs of one browser, whose storage ends with the test. */
export async function browser(): Promise<BrowserContext> {
  shared ??= chromium.launch(launchOptions())
  const context = await (await shared).newContext()
  onTestFinished(() => context.close())
  return context
}

/** A folder that outlives a browser, and ends with the test. */
export function profile(): string {
  const folder = mkdtempSync(join(tmpdir(), 'messkit-profile-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
  return folder
}

/** A browser of its own, which keeps its storage in a folder. */
export async function browserIn(folder: string, { keepPages = false } = {}): Promise<BrowserContext> {
  const left = keepPages ? { ignoreDefaultArgs: ['--disable-back-forward-cache'] } : {}
  const context = await chromium.launchPersistentContext(folder, { ...launchOptions(), ...left })
  onTestFinished(() => context.close())
  return context
}

/** A tab. What goes wrong in it and nobody catches fails the test. */
export async function tab(context: BrowserContext, { url }: Pick<Site, 'url'>): Promise<Page> {
  const page = await context.newPage()
  const errors: Error[] = []
  page.on('pageerror', (error) => errors.push(error))
  onTestFinished(() => expect(errors).toEqual([]))
  await page.goto(url)
  await loaded(page)
  return page
}

/** After a reload. */
export async function loaded(page: Page): Promise<void> {
  await page.waitForFunction(() => globalThis.kept !== undefined)
}

/** Until a page says what is expected. */
export async function eventually<T>(ask: () => Promise<T>, expected: T): Promise<void> {
  await vi.waitFor(async () => expect(await ask()).toEqual(expected), { timeout: WAIT_MS, interval: 50 })
}

/** The tab's process ends in the middle of whatever it does. */
export async function crash(page: Page): Promise<void> {
  const gone = new Promise((resolve) => page.once('crash', resolve))
  page.goto('chrome://crash').catch(() => {})
  await gone
  await page.close()
}

/** The process of the browser that keeps its profile there. */
export function browserOf(folder: string): number {
  const found = readdirSync('/proc')
    .map(Number)
    .find((pid) => pid > 0 && isBrowser(pid, folder))
  return found as number
}

function isBrowser(pid: number, folder: string): boolean {
  try {
    const args = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
    return args.includes(`--user-data-dir=${folder}`) && !args.some((arg) => arg.startsWith('--type='))
  } catch {
    return false
  }
}
