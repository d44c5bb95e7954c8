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
  await speakNewer(other)
  for (const each of [page, other]) await start(each, url)
  const publish = (each: Page): Promise<string[]> =>
    each.evaluate(async (topic) => {
      const receipts = Array.from({ length: 20 }, (_, i) => kept.mess.topic(topic).publish(i))
      await Promise.all(receipts)
      return receipts.map(({ id }) => id)
    }, TOPIC)

  const first = await Promise.all([page, other].map(publish))
  // The newer one takes the lead in the end, and keeps it; what the older one stores is sent all the same.
  await eventually(() => role(other), 'leader')
  const ids = [...first.flat(), ...(await publish(page))]

  expect([await role(page), await role(other)]).toEqual(['follower', 'leader'])
  const stored: string[] = await other.evaluate(async (topic) => {
    const { messages } = await kept.mess.topic(topic).history({ limit: 1_000 })
    return messages.map(({ id }: { id: string }) => id)
  }, TOPIC)
  expect(stored.sort()).toEqual(ids.sort())
  for (const each of [page, other]) await eventually(() => each.evaluate(() => kept.mess.status.unsent), 0)
})

test('whatever else is said on the channel of the tabs harms nobody', async () => {
  // What a page throws fails the test.
  const page = await tab(await browserIn(profile()), await site())

  const offset = await page.evaluate(
    async ([name, topic]) => {
      const mess = sdk.createMess()
      await mess.topic(topic).publish('before')
      const [stranger, last] = [new BroadcastChannel(name), new BroadcastChannel(name)]
      // It was opened later, so that it hears everything later.
      const heard = new Promise<void>((resolve) => {
        last.onmessage = ({ data }) => data === 'the end' && resolve()
      })
      for (const nonsense of [null, undefined, 7, {}, { v: {} }, 'the end']) stranger.postMessage(nonsense)
      await heard
      return (await mess.topic(topic).publish('after')).offset
    },
    ['messkit/main/local/nobody', TOPIC] as const,
  )

  expect(offset).toBe(1)
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

/** As a newer build that speaks another language on the channel between the tabs. */
function speakNewer(page: Page): Promise<void> {
  return page.evaluate(() => {
    const { prototype } = BroadcastChannel
    const { postMessage } = prototype
    const { set } = Object.getOwnPropertyDescriptor(prototype, 'onmessage') as PropertyDescriptor
    prototype.postMessage = function (message) {
      postMessage.call(this, { ...message, v: message.v + 1 })
    }
    Object.defineProperty(prototype, 'onmessage', {
      set(listener: (event: unknown) => void) {
        set?.call(this, ({ data }: MessageEvent) => listener({ data: { ...data, v: data.v - 1 } }))
      },
    })
  })
}

const role = (page: Page): Promise<string> => page.evaluate(() => kept.mess.status.role)
