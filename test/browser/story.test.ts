import type { Page } from 'playwright-core'
import { expect, onTestFinished, test } from 'vitest'
import { runServer } from '../support/server.ts'
import { browser, eventually, LONG_MS, loaded, site, tab } from './browser.ts'

const TOPIC = 'rooms/42'

test('two tabs, a server that is killed, 50 more from each, both reload, the server is back: all there once, in one order', {
  timeout: LONG_MS,
}, async () => {
  const pages = await site()
  const server = await runServer({ ALLOWED_ORIGINS: pages.url })
  onTestFinished(() => server.end())
  const context = await browser()
  const tabs = [await tab(context, pages), await tab(context, pages)] as const
  const all = [...names('one', 0, 60), ...names('two', 0, 60)]
  for (const page of tabs) await subscribe(page, server.url)

  await Promise.all([publish(tabs[0], names('one', 0, 10)), publish(tabs[1], names('two', 0, 10))])
  for (const page of tabs) await eventually(() => count(page), 20)
  await server.kill()
  await Promise.all([publish(tabs[0], names('one', 10, 60)), publish(tabs[1], names('two', 10, 60))])
  await Promise.all(tabs.map((page) => page.reload()))
  for (const page of tabs) await subscribe(page, server.url, { wait: false })
  await server.restart()

  for (const page of tabs) await eventually(() => count(page), 120)
  const [seen, seenByTwo] = await Promise.all(tabs.map(received))
  expect(seenByTwo).toEqual(seen)
  expect(seen?.toSorted()).toEqual(all.toSorted())
  expect(seen?.filter((name) => name.startsWith('one'))).toEqual(names('one', 0, 60))
  expect(seen?.filter((name) => name.startsWith('two'))).toEqual(names('two', 0, 60))
  for (const page of tabs) await eventually(() => unsent(page), 0)
})

/** Shows the whole topic, as a page does when it is loaded. */
async function subscribe(page: Page, url: string, { wait = true } = {}): Promise<void> {
  await loaded(page)
  await page.evaluate(
    async ([url, topic, wait]) => {
      kept.mess = sdk.createMess({
        url,
        user: 'ana',
        token: async () => (await fetch('/token/ana')).text(),
        reconnect: { minMs: 20, maxMs: 200 },
      })
      kept.seen = []
      const { ready } = kept.mess
        .topic(topic)
        .subscribe(({ data }: { data: string }) => void kept.seen.push(data), { from: 'start' })
      if (wait) await ready
    },
    [url, TOPIC, wait] as const,
  )
}

/** Until they are safe on this device. */
async function publish(page: Page, texts: readonly string[]): Promise<void> {
  await page.evaluate(
    async ([topic, texts]) => {
      for (const text of texts) kept.last = kept.mess.topic(topic).publish(text)
      await kept.last.stored
    },
    [TOPIC, texts] as const,
  )
}

const names = (tab: string, from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, i) => `${tab} ${from + i}`)
const count = (page: Page): Promise<number> => page.evaluate(() => kept.seen.length)
const received = (page: Page): Promise<string[]> => page.evaluate(() => kept.seen)
const unsent = (page: Page): Promise<number> => page.evaluate(() => kept.mess.status.unsent)
