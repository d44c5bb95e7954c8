import type { Page } from 'playwright-core'
import { expect, onTestFinished, test } from 'vitest'
import { runServer } from '../support/server.ts'
import { browser, eventually, LONG_MS, site, tab } from './browser.ts'

const TOPIC = 'forms/1'

test('a refused message is set aside, told in the tab that published it, and holds nothing up', {
  timeout: LONG_MS,
}, async () => {
  const pages = await site()
  const server = await runServer({ ALLOWED_ORIGINS: pages.url })
  onTestFinished(() => server.end())
  const context = await browser()
  const [one, two] = [await tab(context, pages), await tab(context, pages)]
  await start(one, server.url)
  await eventually(() => one.evaluate(() => kept.mess.status.role), 'leader')
  await start(two, server.url)

  const outcomes = await two.evaluate(async (topic) => {
    const messages = kept.mess.topic(topic)
    const receipts = [messages.publish('before'), messages.publish(kept.sly()), messages.publish('after')]
    return Promise.all(
      receipts.map((receipt) =>
        receipt.then(
          ({ offset }: { offset: number }) => offset,
          (error: { code: string }) => error.code,
        ),
      ),
    )
  }, TOPIC)

  expect(outcomes).toEqual([0, 'too_deep', 1])
  const [entry] = await events(two)
  expect(entry).toMatchObject({ topic: TOPIC, state: 'refused', code: 'too_deep' })
  expect(await events(one)).toEqual([])
  for (const page of [one, two]) await eventually(() => page.evaluate(() => kept.mess.status.refused), 1)
  expect(await list(one)).toEqual([entry])

  const again = await one.evaluate(
    async (id) =>
      kept.mess.outbox.retry(id).then(
        () => 'acked',
        (error: { code: string }) => error.code,
      ),
    entry?.id as string,
  )
  expect(again).toBe('too_deep')
  const [second] = await list(two)
  expect(second).toMatchObject({ topic: TOPIC, code: 'too_deep' })
  expect(second?.id).not.toBe(entry?.id)
  expect(await two.evaluate((id) => kept.mess.outbox.discard(id), second?.id as string)).toBe(true)
  expect(await list(one)).toEqual([])
  for (const page of [one, two]) await eventually(() => page.evaluate(() => kept.mess.status.refused), 0)
  expect(
    await one.evaluate(async () =>
      kept.mess.outbox.retry('gone-1').then(
        () => 'acked',
        (error: { code: string }) => error.code,
      ),
    ),
  ).toBe('bad_option')
})

test('a refusal is told by the tab that sends, when the one that published is gone', { timeout: LONG_MS }, async () => {
  const pages = await site()
  const server = await runServer({ ALLOWED_ORIGINS: pages.url })
  onTestFinished(() => server.end())
  await server.kill()
  const context = await browser()
  const [one, two] = [await tab(context, pages), await tab(context, pages)]
  for (const page of [one, two]) await start(page, server.url)
  await two.evaluate((topic) => kept.mess.topic(topic).publish(kept.sly()).stored, TOPIC)
  await two.close()

  await server.restart()

  await eventually(async () => (await events(one)).map(({ code }) => code), ['too_deep'])
})

test('a message that was refused, and given up while its tab was away, is refused for its tab, too', {
  timeout: LONG_MS,
}, async () => {
  const pages = await site()
  const server = await runServer({ ALLOWED_ORIGINS: pages.url })
  onTestFinished(() => server.end())
  const context = await browser()
  const [one, two] = [await tab(context, pages), await tab(context, pages)]
  await start(one, server.url)
  await eventually(() => one.evaluate(() => kept.mess.status.role), 'leader')
  await start(two, server.url)
  await server.kill()
  await two.evaluate(async (topic) => {
    const receipt = kept.mess.topic(topic).publish(kept.sly())
    kept.outcome = receipt.then(
      () => 'acked',
      (error: { code: string }) => error.code,
    )
    await receipt.stored
    dispatchEvent(new Event('pagehide'))
  }, TOPIC)

  await server.restart()
  await eventually(() => one.evaluate(() => kept.mess.status.refused), 1)
  const [entry] = await list(one)
  await one.evaluate((id) => kept.mess.outbox.discard(id), entry?.id as string)
  await two.evaluate(() => void dispatchEvent(new Event('pageshow')))

  expect(await two.evaluate(() => kept.outcome)).toBe('too_deep')
})

interface Entry {
  readonly id: string
  readonly topic: string
  readonly state: string
  readonly code: string
}

async function start(page: Page, url: string): Promise<void> {
  await page.evaluate((url) => {
    const flat = ({
      id,
      topic,
      state,
      error,
    }: {
      id: string
      topic: string
      state: string
      error: { code: string }
    }) => ({ id, topic, state, code: error?.code })
    kept.mess = sdk.createMess({
      url,
      user: 'ana',
      token: async () => (await fetch('/token/ana')).text(),
      reconnect: { minMs: 20, maxMs: 200 },
    })
    void kept.mess.outbox // a client that nobody uses does nothing
    kept.refused = []
    kept.mess.on('refused', (entry: never) => kept.refused.push(flat(entry)))
    kept.list = async () => (await kept.mess.outbox.list()).map(flat)
    // Fine when it is looked at, and nested too deeply when it is written: what only the server sees.
    kept.sly = () => {
      let looks = 0
      return { toJSON: () => (looks++ === 0 ? 'fine' : JSON.parse('['.repeat(80) + ']'.repeat(80))) }
    }
  }, url)
}

const events = (page: Page): Promise<Entry[]> => page.evaluate(() => kept.refused)
const list = (page: Page): Promise<Entry[]> => page.evaluate(() => kept.list())
