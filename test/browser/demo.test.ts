import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { buildDemo } from '../../scripts/build-demo.mjs'
import { bundleWorker } from '../../scripts/bundle.mjs'
import { startServer } from '../../scripts/serve.mjs'
import { SECRET } from '../support/server.ts'
import { browser, eventually, LONG_MS } from './browser.ts'

const dataDir = mkdtempSync(join(tmpdir(), 'messkit-demo-'))
let server: Awaited<ReturnType<typeof startServer>>

beforeAll(async () => {
  const [demoDir, bundle] = await Promise.all([buildDemo(), bundleWorker()])
  const vars = { TOKEN_SECRET: SECRET, TOKEN_ISSUER: 'demo-test', TOKEN_AUDIENCE: 'messkit' }
  server = await startServer({ dataDir, bundle, demoDir, vars })
}, LONG_MS)
afterAll(async () => {
  await server?.kill()
  rmSync(dataDir, { recursive: true, force: true })
})

test('what is written in one tab is seen in the other, with its offset, and acked', { timeout: LONG_MS }, async () => {
  const context = await browser()
  const [ana, bo] = [await open(context, '?user=ana#pair'), await open(context, '?user=bo#pair')]

  await say(ana, 'Soup is ready')
  await say(bo, 'Coming')

  for (const page of [ana, bo]) await eventually(() => stored(page), ['0 ana Soup is ready', '1 bo Coming'])
  await eventually(async () => /✓ \d/.test((await ana.locator('#log .ack').first().textContent()) ?? ''), true)
  expect(await bo.locator('#log .own').count()).toBe(1)
})

test('offline, messages are shown waiting in all tabs and after a reload, and arrive once the cable is back', {
  timeout: LONG_MS,
}, async () => {
  const context = await browser()
  const [one, two] = [await open(context, '#offline'), await open(context, '#offline')]
  await button(one, 'Go offline').click()
  await button(two, 'Go online').waitFor()

  await say(one, 'first')
  await say(one, 'second')
  for (const page of [one, two]) await eventually(() => waiting(page), ['first', 'second'])
  await eventually(async () => (await one.locator('#tray .meta').allInnerTexts())[1], 'waiting, on disk')
  await one.reload()
  await eventually(() => waiting(one), ['first', 'second'])
  expect(await stored(one)).toEqual([])
  await button(one, 'Go online').click()

  for (const page of [one, two]) {
    await eventually(() => texts(page), ['first', 'second'])
    await eventually(() => waiting(page), [])
    await eventually(() => page.locator('#waiting').textContent(), '0')
  }
  await two.reload()
  await eventually(() => texts(two), ['first', 'second'])
})

test('a thousand at once are all acked, and the list stays short', { timeout: LONG_MS }, async () => {
  const context = await browser()
  const [one, two] = [await open(context, '#many'), await open(context, '#many')]

  await button(one, '1,000').click()

  await one.getByText('All 1,000 acked').waitFor()
  for (const page of [one, two]) {
    await eventually(async () => (await texts(page)).at(-1), '1,000 of 1,000')
    expect(await page.locator('#log > li').count()).toBeLessThanOrEqual(200)
  }
  await two.reload()
  await button(two, 'Show earlier messages').click()
  await eventually(async () => (await texts(two)).slice(0, 2), ['901 of 1,000', '902 of 1,000'])
})

test('topics are kept apart, and a name that is none is told', { timeout: LONG_MS }, async () => {
  const page = await open(await browser(), '#galley')
  await say(page, 'in the galley')
  await eventually(() => texts(page), ['in the galley'])

  await page.getByRole('link', { name: 'deck' }).click()
  await eventually(() => page.title(), 'deck · Messkit')
  expect(await texts(page)).toEqual([])

  await page.evaluate(() => {
    location.hash = 'no spaces'
  })
  await page.getByRole('alert').getByText('The topic name').waitFor()
  expect(await page.title()).toBe('deck · Messkit')
})

test('a keyboard reaches everything in reading order, and everything has a name', { timeout: LONG_MS }, async () => {
  const page = await open(await browser(), '#keys')

  await page.getByRole('link', { name: 'Skip to the message field' }).focus()
  const order: string[] = []
  for (let i = 0; i < 14; i++) {
    await page.keyboard.press('Tab')
    order.push(await page.evaluate(() => document.activeElement?.id || (document.activeElement?.textContent ?? '')))
  }

  const topics = ['galley', 'deck', 'shore', 'keys']
  const tools = ['second-tab', 'somebody-else', 'reload', '100', '1,000', '10,000']
  expect(order).toEqual(['cable', ...topics, 'scroller', 'text', 'Send', ...tools])
  const named = [
    page.getByRole('textbox', { name: 'Message' }),
    page.getByRole('log', { name: 'Messages, by offset' }),
    page.getByRole('navigation', { name: 'Topics' }),
    page.getByRole('heading', { level: 1, name: 'Messkit' }),
    page.getByRole('group', { name: 'Send many messages at once' }),
    page.getByRole('list', { name: 'Waiting in the outbox' }),
  ]
  for (const element of named) expect(await element.count()).toBe(1)
})

test('Enter sends, the skip link leads to the field, and news is told to screen readers', {
  timeout: LONG_MS,
}, async () => {
  const context = await browser()
  const [ana, bo] = [await open(context, '?user=ana#told'), await open(context, '?user=bo#told')]

  await bo.getByRole('link', { name: 'Skip to the message field' }).focus()
  await bo.keyboard.press('Enter')
  await bo.keyboard.type('Hello')
  await bo.keyboard.press('Shift+Enter')
  await bo.keyboard.type('there')
  await bo.keyboard.press('Enter')

  await eventually(() => texts(ana), ['Hello\nthere'])
  await eventually(async () => (await ana.getByRole('status').textContent())?.includes('bo: Hello'), true)
  expect(new URL(bo.url()).hash).toBe('#told')
})

/** A tab that is online. Errors on its console, such as against its own policy, fail the test. */
async function open(context: BrowserContext, address: string): Promise<Page> {
  const page = await context.newPage()
  const errors: string[] = []
  page.on('pageerror', (error) => errors.push(String(error)))
  page.on('console', (message) => void (message.type() === 'error' && errors.push(message.text())))
  onTestFinished(() => expect(errors).toEqual([]))
  await page.goto(`${server.url}/${address}`)
  await page.locator('[data-look=online]').waitFor()
  return page
}

async function say(page: Page, text: string): Promise<void> {
  await page.getByRole('textbox', { name: 'Message' }).fill(text)
  await button(page, 'Send').click()
}

const button = (page: Page, name: string) => page.getByRole('button', { name, exact: true })
const texts = (page: Page): Promise<string[]> => page.locator('#log .text').allTextContents()
const waiting = (page: Page): Promise<string[]> => page.locator('#tray .text').allTextContents()

async function stored(page: Page): Promise<string[]> {
  const rows = await page.locator('#log > li').all()
  return Promise.all(
    rows.map(async (row) => {
      const cells = await row.locator('.offset, .by, .text').allTextContents()
      return cells.join(' ').replace('Offset ', '')
    }),
  )
}
