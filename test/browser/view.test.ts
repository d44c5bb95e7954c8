import type { BrowserContext, Page } from 'playwright-core'
import { expect, onTestFinished, test } from 'vitest'
import { runServer } from '../support/server.ts'
import { browserIn, eventually, LONG_MS, profile, type Site, site, tab } from './browser.ts'

const TOPIC = 'notes/1'

interface Entry {
  readonly id: string
  readonly data: string
  readonly pending: boolean
  readonly offset: number | undefined
  readonly error: string | undefined
}

test('a page that opens without a network shows the copy, takes a thousand messages, and sends them when it comes back', {
  timeout: LONG_MS,
}, async () => {
  const pages = await site()
  const server = await runServer({ ALLOWED_ORIGINS: pages.url })
  onTestFinished(() => server.end())
  const folder = profile()
  let context = await browserIn(folder)
  const first = await open(context, pages, server.url)
  await view(first, { maxMessages: 50 })
  await publish(first, 'before', 60)
  await eventually(async () => texts(await newest(first)).at(-1), 'before 59')
  await context.close()
  await server.kill()

  context = await browserIn(folder)
  const offline = await open(context, pages, server.url)
  await view(offline, { maxMessages: 50 })
  // Rows are kept whole, so there may be more.
  await eventually(async () => texts(await newest(offline)).slice(-50), numbered('before', 10, 60))
  await offline.evaluate(async (topic) => {
    const receipts = Array.from({ length: 1_000 }, (_, i) => kept.mess.topic(topic).publish(`offline ${i}`))
    await Promise.all(receipts.map(({ stored }) => stored))
  }, TOPIC)
  const all = [...numbered('before', 10, 60), ...numbered('offline', 0, 1_000)]
  await eventually(async () => texts(await newest(offline)).slice(-1_050), all)
  await context.close()

  context = await browserIn(folder)
  const later = await open(context, pages, server.url)
  await view(later, { maxMessages: 2_000 })
  await eventually(async () => texts(await newest(later)).slice(-1_050), all)
  await server.restart()
  await eventually(async () => (await newest(later)).filter(({ pending }) => pending).length, 0)

  const list = (await newest(later)).slice(-1_050)
  expect(texts(list)).toEqual(all)
  expect(list.map(({ offset }) => offset)).toEqual(Array.from({ length: 1_050 }, (_, i) => i + 10))
  expect(await steady(later)).toEqual([])
  await context.close()
})

test.each([
  { home: 'the tabs', local: true },
  { home: 'a server', local: false },
])(
  'a message that is on its way turns into the stored one without flicker or repeat, in every tab; its home is $home',
  {
    timeout: LONG_MS,
  },
  async ({ local }) => {
    const pages = await site()
    const server = local ? undefined : await runServer({ ALLOWED_ORIGINS: pages.url })
    onTestFinished(() => server?.end())
    const context = await browserIn(profile())
    const tabs: Page[] = []
    for (let i = 0; i < 3; i++) tabs.push(await open(context, pages, server?.url))
    for (const page of tabs) await view(page, { maxMessages: 1_000 })

    await Promise.all(tabs.map((page, i) => publish(page, `tab ${i}`, 100)))

    for (const page of tabs)
      await eventually(async () => (await newest(page)).filter(({ pending }) => !pending).length, 300)
    const lists = await Promise.all(tabs.map(newest))
    for (const list of lists) expect(list).toEqual(lists[0])
    for (const page of tabs) expect(await steady(page)).toEqual([])

    // The tab that keeps the copy goes, another takes over.
    const [gone, ...rest] = tabs as [Page, Page, Page]
    await gone.close()
    await publish(rest[0] as Page, 'after', 20)
    for (const page of rest)
      await eventually(async () => (await newest(page)).filter(({ pending }) => !pending).length, 320)
    for (const page of rest) expect(await steady(page)).toEqual([])
  },
)

async function open(context: BrowserContext, pages: Site, url: string | undefined): Promise<Page> {
  const page = await tab(context, pages)
  await page.evaluate((url) => {
    kept.mess = sdk.createMess(
      url === undefined
        ? {}
        : {
            url,
            user: 'ana',
            token: async () => (await fetch('/token/ana')).text(),
            reconnect: { minMs: 20, maxMs: 200 },
          },
    )
    kept.errors = []
    kept.mess.on('error', (error: Error) => void kept.errors.push(String(error)))
  }, url)
  return page
}

/** Every list that the listener was called with is looked at, the newest is kept. */
function view(page: Page, replica: { maxMessages: number }): Promise<unknown> {
  return page.evaluate(
    ([topic, replica]) => {
      kept.list = []
      kept.flaws = []
      const seen = new Set<string>()
      return kept.mess.topic(topic, { replica }).view((list: { id: string; pending: boolean }[]) => {
        const ids = list.map(({ id }) => id)
        if (new Set(ids).size !== ids.length) kept.flaws.push('an id stands there twice')
        // Nothing that was shown goes away, but for what is older than the list is long.
        const there = new Set(ids)
        const limit = replica.maxMessages
        if (list.length < limit) for (const id of seen) if (!there.has(id)) kept.flaws.push(`${id} went away`)
        for (const id of ids) seen.add(id)
        const stored = list.findIndex(({ pending }) => pending)
        if (stored !== -1 && list.slice(stored).some(({ pending }) => !pending))
          kept.flaws.push('stored behind pending')
        kept.list = list
      }).ready
    },
    [TOPIC, replica] as const,
  )
}

function publish(page: Page, name: string, count: number): Promise<unknown> {
  return page.evaluate(
    async ([topic, name, count]) => {
      const receipts = []
      for (let i = 0; i < count; i++) {
        receipts.push(kept.mess.topic(topic).publish(`${name} ${i}`))
        if (i % 7 === 0) await new Promise((resolve) => setTimeout(resolve))
      }
      await Promise.all(receipts)
    },
    [TOPIC, name, count] as const,
  )
}

const newest = (page: Page): Promise<Entry[]> =>
  page.evaluate(() =>
    kept.list.map(({ id, data, pending, offset, error }: Entry) => ({
      id,
      data,
      pending,
      offset,
      error: error && String(error),
    })),
  )
const steady = (page: Page): Promise<string[]> => page.evaluate(() => kept.flaws)
const texts = (list: readonly Entry[]): string[] => list.map(({ data }) => data)
const numbered = (name: string, from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, i) => `${name} ${from + i}`)
