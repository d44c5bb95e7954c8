import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { buildDemo } from '../../scripts/build-demo.mjs'
import { bundleWorker } from '../../scripts/bundle.mjs'
import { inRoot } from '../../scripts/project.mjs'
import { startServer } from '../../scripts/serve.mjs'
import { SECRET } from '../support/server.ts'
import { browser, browserIn, eventually, LONG_MS, profile } from './browser.ts'

type Server = Awaited<ReturnType<typeof startServer>>

const folders: string[] = []
let built: string
let bundle: string
let server: Server

beforeAll(async () => {
  ;[built, bundle] = await Promise.all([buildDemo(), bundleWorker()])
  server = await start({})
}, LONG_MS)
afterAll(async () => {
  await server?.kill()
  for (const path of folders) rmSync(path, { recursive: true, force: true })
})

test('what one person adds, ticks, renames and removes, another sees, and who did it', {
  timeout: LONG_MS,
}, async () => {
  const context = await browser()
  const [ana, bo] = [await open(context, '?user=ana#pair'), await open(context, '?user=bo#pair')]

  for (const text of ['Bread', 'Milk', 'Tea']) await add(ana, text)
  await eventually(() => items(bo), ['Bread, ana', 'Milk, ana', 'Tea, ana'])
  await bo.getByRole('checkbox', { name: 'Milk' }).check()
  await rename(bo, 'Bread', 'Rye bread')
  await button(bo, 'Remove Tea').click()

  for (const page of [ana, bo]) await eventually(() => items(page), ['Rye bread, ana', '✓ Milk, bo'])
  // One's own name is for screen readers alone.
  const names = (page: Page) => page.locator('.by:not(.sr)').allTextContents()
  expect([await names(ana), await names(bo)]).toEqual([['bo'], ['ana']])
  await button(ana, 'Remove ticked').click()
  for (const page of [ana, bo]) await eventually(() => items(page), ['Rye bread, ana'])
})

test('offline, changes are shown waiting in all tabs of a person and after a reload, and arrive once the cable is back', {
  timeout: LONG_MS,
}, async () => {
  const context = await browser()
  const [one, two] = [await open(context, '?user=ana#offline'), await open(context, '?user=ana#offline')]
  const bo = await open(context, '?user=bo#offline')
  await add(one, 'Bread')
  for (const page of [one, two, bo]) await eventually(() => items(page), ['Bread, ana'])
  await watchRows(two)

  await button(one, 'Go offline').click()
  await button(two, 'Go online').waitFor()
  await add(one, 'Milk')
  await one.getByRole('checkbox', { name: 'Bread' }).check()
  await add(bo, 'Tea')

  for (const page of [one, two]) {
    await eventually(() => items(page), ['✓ Bread, ana, waiting', 'Milk, ana, waiting'])
    await eventually(() => outbox(page), ['Added “Milk”', 'Ticked “Bread”'])
    await page.getByText('2 waiting · safe on disk').waitFor()
  }
  await eventually(() => items(bo), ['Bread, ana', 'Tea, bo'])
  await one.reload()
  await eventually(() => items(one), ['✓ Bread, ana, waiting', 'Milk, ana, waiting'])
  await button(one, 'Go online').click()

  for (const page of [one, two, bo]) await eventually(() => items(page), ['✓ Bread, ana', 'Tea, bo', 'Milk, ana'])
  for (const page of [one, two]) await eventually(() => outbox(page), [])
  expect(await flawsOf(two)).toEqual([])
})

test('the page opens and works while the server is dead, and what was done meanwhile is stored later', {
  timeout: LONG_MS,
}, async () => {
  let own = await start({})
  onTestFinished(() => own.kill())
  const folder = profile()
  let context = await browserIn(folder)
  const first = await open(context, '?user=ana#trip', own)
  await add(first, 'Tent')
  await eventually(() => items(first), ['Tent, ana'])
  await kept(first)
  expect(await cached(first)).not.toContainEqual(expect.stringMatching(/v1|token|health|service-worker/))
  await context.close()
  await own.kill()

  context = await browserIn(folder)
  const page = await tab(context, '?user=ana#trip', own, { noNetwork: true })
  await eventually(() => items(page), ['Tent, ana'])
  await add(page, 'Stove')
  await page.getByRole('checkbox', { name: 'Tent' }).check()
  await eventually(() => items(page), ['✓ Tent, ana, waiting', 'Stove, ana, waiting'])
  await eventually(() => page.locator('#connection').textContent(), 'no answer')
  expect(await page.getByRole('alert').textContent()).toBe('')
  own = await start({ dataDir: own.dataDir, port: own.port })

  await eventually(() => items(page), ['✓ Tent, ana', 'Stove, ana'])
  const bo = await open(await browser(), '?user=bo#trip', own)
  await eventually(() => items(bo), ['✓ Tent, ana', 'Stove, ana'])
  await context.close()
})

test('what the server refuses is shown with the reason, and is tried again or discarded', {
  timeout: LONG_MS,
}, async () => {
  let own = await start({})
  onTestFinished(() => own.kill())
  const context = await browser()
  const [one, two] = [
    await tab(context, '?user=ana#lost', own, { noNetwork: true }),
    await tab(context, '?user=ana#lost', own, { noNetwork: true }),
  ]
  await add(one, 'Bread')
  for (const page of [one, two]) await eventually(() => items(page), ['Bread, ana'])
  await button(one, 'Go offline').click()
  await add(one, 'Milk')
  await one.getByRole('checkbox', { name: 'Bread' }).check()
  await eventually(() => outbox(one), ['Added “Milk”', 'Ticked “Bread”'])

  // A server that lost its data cannot know whether it has seen a message before.
  await own.kill()
  own = await start({ port: own.port })
  await button(one, 'Go online').click()

  for (const page of [one, two]) {
    await eventually(() => page.locator('.entry.refused .reason').count(), 2)
    await page.getByText('2 changes were refused.').waitFor()
  }
  expect(await one.locator('.entry.refused .reason').first().textContent()).toMatch(
    /^Refused: The publisher is no longer/,
  )
  await button(two, 'Look').click()
  await two.keyboard.press('Tab')
  await two.keyboard.press('Enter')
  for (const page of [one, two]) await eventually(() => items(page), ['Milk, ana'])
  await button(one, 'Discard').click()
  for (const page of [one, two]) await page.getByText('Empty: the server has everything.').waitFor()
})

test('a new version waits until it is asked for, and then all tabs have it', { timeout: LONG_MS }, async () => {
  const demoDir = copyOfDemo()
  const own = await start({ demoDir })
  onTestFinished(() => own.kill())
  const context = await browser()
  await kept(await open(context, '#one', own))
  await context.pages()[0]?.close()
  const [one, two] = [await open(context, '#one', own), await open(context, '#two', own)]
  await two.getByRole('textbox', { name: 'New item' }).fill('half a wo')

  edit(demoDir, 'index.html', 'You are', 'Now you are')
  edit(demoDir, 'service-worker.js', '"version":"', '"version":"2-')
  await one.reload()
  await one.getByText('A new version is here.').waitFor()
  expect(await one.getByText('Now you are').count()).toBe(0)
  await button(one, 'Use it').click()

  for (const page of [one, two]) await page.getByText('Now you are').waitFor()
  expect(await two.getByRole('textbox', { name: 'New item' }).inputValue()).toBe('half a wo')
  expect(await one.getByText('A new version is here.').isHidden()).toBe(true)
  expect(await one.evaluate(async () => (await caches.keys()).length)).toBe(1)
})

test('a page that gets this address later is not hidden by this one', { timeout: LONG_MS }, async () => {
  const own = await start({})
  onTestFinished(() => own.kill())
  const context = await browser()
  const page = await open(context, '', own)
  await kept(page)
  await page.close()
  await own.kill()
  const demoDir = folder()
  writeFileSync(join(demoDir, 'index.html'), '<!doctype html><title>Other</title>Something else')
  const other = await start({ demoDir, port: own.port })
  onTestFinished(() => other.kill())

  const later = await tab(context, '', other, { noNetwork: true })

  await later.getByText('Something else').waitFor()
})

test('it can be installed as an app', { timeout: LONG_MS }, async () => {
  // Windows that keep nothing are never offered it.
  const context = await browserIn(profile())
  const page = await open(context, '')
  await kept(page)

  const devtools = await context.newCDPSession(page)
  const { errors } = await devtools.send('Page.getAppManifest')
  const { installabilityErrors } = await devtools.send('Page.getInstallabilityErrors')

  expect(errors).toEqual([])
  expect(installabilityErrors).toEqual([])
  const manifest = await page.evaluate(async () => (await fetch('/manifest.webmanifest')).json())
  expect(manifest.icons.map(({ purpose }: { purpose?: string }) => purpose)).toContain('maskable')
  for (const { src, type } of manifest.icons) {
    const answer = await page.request.get(`${server.url}${src}`)
    expect(answer.headers()['content-type']).toBe(type)
  }
  await context.close()
})

test('lists are kept apart, and a name that is none is told', { timeout: LONG_MS }, async () => {
  const page = await open(await browser(), '#shopping')
  await add(page, 'Bread')
  await eventually(() => page.locator('#items .text').allTextContents(), ['Bread'])

  await page.getByRole('link', { name: 'chores' }).click()
  await eventually(() => page.title(), 'chores · Messkit')
  await page.getByText('Nothing to do here.').waitFor()
  expect(await items(page)).toEqual([])

  await page.evaluate(() => {
    location.hash = 'no spaces'
  })
  await page.getByRole('alert').getByText('The topic name').waitFor()
  expect(await page.title()).toBe('chores · Messkit')
})

test.each([
  { what: 'a phone', width: 360, height: 640 },
  { what: 'a wide window', width: 1280, height: 800 },
  { what: 'a wide window at 200 %', width: 640, height: 400 },
])(
  'nothing is cut off or under something else in $what, however long the list is',
  {
    timeout: LONG_MS,
  },
  async ({ width, height }) => {
    const page = await open(await browser(), `#long-${width}`)
    await page.setViewportSize({ width, height })
    await page.emulateMedia({ reducedMotion: 'reduce' })
    for (let i = 0; i < 30; i++) await add(page, `Item ${i}`)
    await eventually(() => page.locator('#items > li').count(), 30)

    // Adding has scrolled to the last one.
    const sees = height > 500
    expect(await page.locator('#cable').evaluate(inSight)).toBe(sees)
    for (const name of ['Remove Item 29', 'Remove Item 0', 'Remove Item 15']) {
      await button(page, name).focus()
      expect(await button(page, name).evaluate(inSight), name).toBe(true)
    }
    const small = await page.locator('button, a, input, summary').evaluateAll((controls) =>
      controls
        .filter((control) => control.checkVisibility() && !control.matches('.skip'))
        .filter(
          (control) => Math.min(control.getBoundingClientRect().width, control.getBoundingClientRect().height) < 24,
        )
        .map((control) => control.id || control.textContent),
    )
    expect(small).toEqual([])
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width)
  },
)

test('a keyboard reaches everything in reading order, and everything has a name', { timeout: LONG_MS }, async () => {
  const page = await open(await browser(), '#keys')
  await add(page, 'Bread')
  await eventually(() => page.locator('#items .text').allTextContents(), ['Bread'])
  await page.getByRole('checkbox', { name: 'Bread' }).check()
  await button(page, 'Remove ticked').waitFor()

  await page.getByRole('link', { name: 'Skip to the new item' }).focus()
  const order: string[] = []
  for (let i = 0; i < 15; i++) {
    await page.keyboard.press('Tab')
    order.push(
      await page.evaluate(() => {
        const focused = document.activeElement as HTMLInputElement
        return focused.type === 'checkbox' ? 'tick' : focused.id || focused.ariaLabel || (focused.textContent ?? '')
      }),
    )
  }

  const lists = ['shopping', 'packing', 'chores', 'keys']
  const item = ['tick', 'Rename Bread', 'Remove Bread']
  const rest = ['second-tab', 'phone', 'reload', 'What happens underneath']
  expect(order).toEqual(['cable', ...lists, 'remove-ticked', ...item, 'text', 'Add', ...rest])
  await page.keyboard.press('Enter')
  const named = [
    page.getByRole('textbox', { name: 'New item' }),
    page.getByRole('checkbox', { name: 'Bread' }),
    page.getByRole('list', { name: 'Items' }),
    page.getByRole('region', { name: 'The way to the server' }),
    page.getByRole('region', { name: 'Outbox' }),
    page.getByRole('navigation', { name: 'Lists' }),
    page.getByRole('heading', { level: 1, name: 'Messkit' }),
    page.getByRole('list', { name: 'Changes, newest first' }),
  ]
  for (const element of named) await eventually(() => element.count(), 1)
})

test('all of it works by keyboard, and what others do is told to screen readers', { timeout: LONG_MS }, async () => {
  const context = await browser()
  const [ana, bo] = [await open(context, '?user=ana#told'), await open(context, '?user=bo#told')]
  const press = async (...keys: string[]): Promise<void> => {
    for (const key of keys) await bo.keyboard.press(key)
  }

  await bo.getByRole('link', { name: 'Skip to the new item' }).focus()
  await press('Enter')
  await bo.keyboard.type('Bread')
  await press('Enter')
  await bo.keyboard.type('Milk')
  await press('Enter')
  await eventually(() => items(ana), ['Bread, bo', 'Milk, bo'])
  await ana.getByRole('status').filter({ hasText: 'bo added “Milk”' }).waitFor({ state: 'attached' })

  await bo.getByRole('checkbox', { name: 'Bread' }).focus()
  await press('Space', 'Tab', 'Enter')
  await bo.keyboard.type('never mind')
  await press('Escape', 'Enter')
  await bo.keyboard.type('Rye bread')
  await press('Enter')
  await eventually(() => items(ana), ['✓ Rye bread, bo', 'Milk, bo'])
  await press('Tab', 'Enter')
  await eventually(() => items(ana), ['Milk, bo'])
  // Where the removed one stood, and not at the beginning of the page.
  await eventually(() => bo.evaluate(() => document.activeElement?.parentElement?.textContent), 'Milk')
  expect(new URL(bo.url()).hash).toBe('#told')
})

test('what happens underneath can be looked at: offsets, senders, acks', { timeout: LONG_MS }, async () => {
  const page = await open(await browser(), '?user=ana#under')
  await add(page, 'Bread')
  await page.getByText('What happens underneath').click()
  await eventually(async () => /^0 ana added “Bread” ✓ \d/.test((await log(page))[0] ?? ''), true)

  await button(page, 'Go offline').click()
  await add(page, 'Milk')
  await eventually(async () => (await log(page))[0], '··· ana added “Milk” waiting')
  await button(page, 'Go online').click()
  await eventually(async () => /^1 ana added “Milk” ✓/.test((await log(page))[0] ?? ''), true)
})

interface StartOptions {
  readonly demoDir?: string
  readonly dataDir?: string
  readonly port?: number
}

async function start({ demoDir = built, dataDir = folder(), port = 0 }: StartOptions) {
  const policy = readFileSync(inRoot('packages/demo/policy.acl'), 'utf8')
  const vars = { TOKEN_SECRET: SECRET, TOKEN_ISSUER: 'demo-test', TOKEN_AUDIENCE: 'messkit', POLICY: policy }
  const started = await startServer({ dataDir, bundle, demoDir, port, vars })
  return { ...started, dataDir }
}

/** A folder that is gone after the last test. */
function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'messkit-demo-'))
  folders.push(path)
  return path
}

function copyOfDemo(): string {
  const copy = folder()
  cpSync(built, copy, { recursive: true })
  return copy
}

function edit(demoDir: string, name: string, from: string, to: string): void {
  const path = join(demoDir, name)
  const text = readFileSync(path, 'utf8')
  expect(text).toContain(from)
  writeFileSync(path, text.replace(from, to))
}

/** A tab that is online. */
async function open(context: BrowserContext, address: string, at: { url: string } = server): Promise<Page> {
  const page = await tab(context, address, at)
  await page.locator('[data-look=online]').waitFor()
  return page
}

/** Errors on its console, such as against its own policy, fail the test; only a network may fail where that is what is tested. */
async function tab(
  context: BrowserContext,
  address: string,
  at: { url: string },
  { noNetwork = false } = {},
): Promise<Page> {
  const page = await context.newPage()
  const errors: string[] = []
  page.on('pageerror', (error) => errors.push(String(error)))
  page.on('console', (message) => {
    if (message.type() === 'error' && !(noNetwork && /ERR_|404/.test(message.text()))) errors.push(message.text())
  })
  onTestFinished(() => expect(errors).toEqual([]))
  await page.goto(`${at.url}/${address}`)
  return page
}

/** Its files are in the browser. */
const kept = (page: Page): Promise<unknown> =>
  page.evaluate(async () => void (await navigator.serviceWorker.ready).active)

const cached = (page: Page): Promise<string[]> =>
  page.evaluate(async () => {
    const names = await caches.keys()
    const requests = await Promise.all(names.map(async (name) => (await caches.open(name)).keys()))
    return requests.flat().map(({ url }) => new URL(url).pathname)
  })

async function add(page: Page, text: string): Promise<void> {
  await page.getByRole('textbox', { name: 'New item' }).fill(text)
  await button(page, 'Add').click()
}

async function rename(page: Page, from: string, to: string): Promise<void> {
  await button(page, `Rename ${from}`).click()
  await page.getByRole('textbox', { name: `New name for ${from}` }).fill(to)
  await button(page, 'Save').click()
}

const button = (page: Page, name: string) => page.getByRole('button', { name, exact: true })

/** Such as: ✓ Bread, ana, waiting. */
const items = (page: Page): Promise<string[]> =>
  page.locator('#items > li').evaluateAll((rows) =>
    rows.map((row) => {
      const text = (selector: string): string => row.querySelector(selector)?.textContent ?? ''
      const tick = row.querySelector('input')?.checked ? '✓ ' : ''
      return [`${tick}${text('.text')}`, text('.by'), text('.state')].filter(Boolean).join(', ')
    }),
  )

/** Whether the middle of an element can be pressed where it stands. */
const inSight = (element: Element): boolean => {
  const { left, top, width, height } = element.getBoundingClientRect()
  return element.contains(document.elementFromPoint(left + width / 2, top + height / 2))
}

const outbox = (page: Page): Promise<string[]> => page.locator('#outbox-list .text').allTextContents()

/** Such as: 0 ana added “Bread” ✓ 12 ms. */
const log = (page: Page): Promise<string[]> =>
  page.locator('#log > li').evaluateAll((rows) =>
    rows.map((row) => {
      const parts = ['.offset', '.what', '.ack'].map((selector) => row.querySelector(selector)?.textContent ?? '')
      return parts.join(' ').replaceAll(/No offset yet |Offset |acked /g, '')
    }),
  )

/** From now on, notes each row that goes away or loses its text. */
async function watchRows(page: Page): Promise<void> {
  await page.evaluate(() => {
    const flaws: string[] = []
    Object.assign(globalThis, { flaws })
    const list = document.getElementById('items') as HTMLElement
    new MutationObserver((records) => {
      for (const { removedNodes } of records)
        for (const node of removedNodes) if (node instanceof HTMLLIElement) flaws.push(`gone: ${node.textContent}`)
      const texts = [...list.querySelectorAll('.text')].map(({ textContent }) => textContent)
      if (new Set(texts).size !== texts.length || texts.includes('')) flaws.push(`shown: ${texts.join()}`)
    }).observe(list, { childList: true, subtree: true })
  })
}

const flawsOf = (page: Page): Promise<string[]> =>
  page.evaluate(() => (globalThis as unknown as { flaws: string[] }).flaws)
