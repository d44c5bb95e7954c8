import type { Page } from 'playwright-core'
import { expect, onTestFinished, test, vi } from 'vitest'
import { generator } from '../support/random.ts'
import { runServer } from '../support/server.ts'
import { browserIn, LONG_MS, loaded, profile, site, tab, WAIT_MS } from './browser.ts'

const TOPIC = 'chaos/1'
const ROUNDS = 15

test.each([
  { home: 'the tabs', local: true },
  { home: 'a server', local: false },
])(
  'tabs that come, go, reload and crash while they publish to $home: what was stored is there once, in order',
  { timeout: LONG_MS },
  async ({ local }) => {
    const random = generator(`chaos ${local}`)
    const pages = await site()
    const server = local ? undefined : await runServer({ ALLOWED_ORIGINS: pages.url })
    onTestFinished(() => server?.end())
    const context = await browserIn(profile())
    const tabs = new Set<Page>()
    /** What each life of a page has stored for certain, in order. */
    const stored: string[][] = []
    const acked = new Map<string, number>()

    const open = async () => {
      const page = await tab(context, pages)
      tabs.add(page)
      await start(page, server?.url)
    }
    const note = async (page: Page) => {
      const { texts, acks } = await page.evaluate(() => ({ texts: kept.stored, acks: kept.acks }))
      stored.push(texts)
      for (const [text, offset] of acks) acked.set(text, offset)
    }
    await open()
    await open()

    for (let round = 0; round < ROUNDS; round++) {
      for (const page of tabs)
        void page.evaluate((count) => kept.publish(count), random.pick([1, 5, 40])).catch(() => {})
      for (let turns = random.below(20); turns > 0; turns--) await new Promise(setImmediate)
      const page = random.pick([...tabs])
      const act = random.pick(['open', 'close', 'reload', 'crash', 'kill', 'nothing'])
      if (act === 'open' && tabs.size < 4) await open()
      else if (act === 'kill' && server) {
        await server.kill()
        for (const other of tabs) await other.evaluate((count) => void kept.publish(count), 10)
        await server.restart()
      } else if (act === 'close' || act === 'crash') {
        await note(page)
        tabs.delete(page)
        if (act === 'close') await page.close()
        else await crash(page)
        if (tabs.size === 0) await open()
      } else if (act === 'reload') {
        await note(page)
        await page.reload()
        await loaded(page)
        await start(page, server?.url)
      }
    }

    for (const page of tabs) await page.evaluate(() => kept.settled())
    for (const page of tabs) await note(page)
    const log = await agreed([...tabs])
    expect(new Set(log).size, random.seed).toBe(log.length)
    for (const texts of stored) {
      const own = new Set(texts)
      expect(
        log.filter((text: string) => own.has(text)),
        random.seed,
      ).toEqual(texts)
    }
    for (const [text, offset] of acked) expect(log[offset], random.seed).toBe(text)
  },
)

/** What all tabs have seen, and the log holds: there may still be something on its way of those that are gone. */
function agreed(tabs: readonly Page[]): Promise<string[]> {
  return vi.waitFor(
    async () => {
      const log = await tabs[0]?.evaluate(() => kept.history())
      for (const page of tabs) expect(await page.evaluate(() => kept.seen)).toEqual(log)
      return log
    },
    { timeout: WAIT_MS, interval: 100 },
  )
}

async function crash(page: Page): Promise<void> {
  const gone = new Promise((resolve) => page.once('crash', resolve))
  page.goto('chrome://crash').catch(() => {})
  await gone
  await page.close()
}

async function start(page: Page, url: string | undefined): Promise<void> {
  await page.evaluate(
    ([url, topicName]) => {
      const options =
        url === undefined
          ? {}
          : {
              url,
              user: 'ana',
              token: async () => (await fetch('/token/ana')).text(),
              reconnect: { minMs: 20, maxMs: 200 },
            }
      kept.mess = sdk.createMess(options)
      kept.errors = []
      kept.mess.on('error', (error: Error) => void kept.errors.push(String(error)))
      const topic = kept.mess.topic(topicName)
      const life = Math.random().toString(36).slice(2)
      let count = 0
      const open = new Set()
      Object.assign(kept, { seen: [], stored: [], acks: [] })
      topic.subscribe(({ data }: { data: string }) => void kept.seen.push(data), { from: 'start' })
      kept.publish = (times: number) => {
        for (let i = 0; i < times; i++) {
          const text = `${life} ${count++}`
          const receipt = topic.publish(text)
          open.add(receipt)
          receipt.stored.then(() => kept.stored.push(text))
          receipt.then(({ offset }: { offset: number | undefined }) => {
            open.delete(receipt)
            if (offset !== undefined) kept.acks.push([text, offset])
          })
        }
      }
      kept.settled = () => Promise.all(open)
      kept.history = async () => {
        const texts: string[] = []
        let from: string | undefined
        do {
          const page = await topic.history({ limit: 1_000, from })
          texts.push(...page.messages.map(({ data }: { data: string }) => data))
          from = page.next
        } while (from !== undefined)
        return texts
      }
    },
    [url, TOPIC] as const,
  )
}
