import type { Page } from 'playwright-core'
import { expect, onTestFinished, test } from 'vitest'
import { runServer } from '../support/server.ts'
import { browserIn, eventually, LONG_MS, profile, site, tab } from './browser.ts'

const TOPIC = 'notes/1'

test('a browser that believes to be offline is not believed', { timeout: LONG_MS }, async () => {
  const { page, url } = await stage()
  await page.evaluate(() => Object.defineProperty(navigator, 'onLine', { get: () => false }))

  await start(page, url)

  expect(await page.evaluate(async (topic) => (await kept.mess.topic(topic).publish('here')).offset, TOPIC)).toBe(0)
})

test('tabs whose builds do not understand each other work beside each other, and nothing is lost or doubled', {
  timeout: LONG_MS,
}, async () => {
  const { page, url, open } = await stage()
  const other = await open()
  // A newer build speaks another language on the channel between the tabs.
  await other.evaluate(() => {
    const { postMessage } = BroadcastChannel.prototype
    BroadcastChannel.prototype.postMessage = function (message) {
      postMessage.call(this, { ...message, v: message.v + 1 })
    }
  })
  for (const each of [page, other]) await start(each, url)
  await page.evaluate(() => new BroadcastChannel('messkit/main').postMessage('nonsense'))

  const offsets = await Promise.all(
    [page, other].map((each) =>
      each.evaluate(async (topic) => {
        const receipts = Array.from({ length: 20 }, (_, i) => kept.mess.topic(topic).publish(i))
        await Promise.all(receipts.map(({ stored }) => stored))
      }, TOPIC),
    ),
  )
  expect(offsets).toHaveLength(2)
  // The one that leads finds the other's messages in the database when it looks, at the latest when the other is gone.
  const [leader, follower] = (await role(page)) === 'leader' ? [page, other] : [other, page]
  await follower.close()
  await eventually(
    () =>
      leader.evaluate(async (topic) => (await kept.mess.topic(topic).history({ limit: 1_000 })).messages.length, TOPIC),
    40,
  )
  await eventually(() => leader.evaluate(() => kept.mess.status.unsent), 0)
})

test('a page that is closed in the same task as it publishes loses what was not stored, and nothing else', {
  timeout: LONG_MS,
}, async () => {
  const { page, url, open } = await stage()
  await start(page, url)
  await page.evaluate((topic) => kept.mess.topic(topic).publish('stored').stored, TOPIC)
  await page.evaluate((topic) => {
    setTimeout(() => {
      kept.mess.topic(topic).publish('perhaps')
      location.replace('about:blank')
    })
  }, TOPIC)
  await page.waitForURL('about:blank')
  await page.close()

  const next = await open()
  await start(next, url)
  await eventually(
    () =>
      next.evaluate(async (topic) => {
        const { messages } = await kept.mess.topic(topic).history()
        return messages.filter(({ data }: { data: string }) => data === 'stored').length
      }, TOPIC),
    1,
  )
})

async function stage() {
  const pages = await site()
  const server = await runServer({ ALLOWED_ORIGINS: pages.url })
  onTestFinished(() => server.end())
  const context = await browserIn(profile())
  const open = (): Promise<Page> => tab(context, pages)
  return { url: server.url, page: await open(), open }
}

function start(page: Page, url: string): Promise<unknown> {
  return page.evaluate((url) => {
    kept.mess = sdk.createMess({
      url,
      user: 'ana',
      token: async () => (await fetch('/token/ana')).text(),
      reconnect: { minMs: 20, maxMs: 200 },
    })
    return kept.mess.outbox.list()
  }, url)
}

const role = (page: Page): Promise<string> => page.evaluate(() => kept.mess.status.role)
