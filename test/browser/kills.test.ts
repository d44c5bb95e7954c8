import type { Page } from 'playwright-core'
import { onTestFinished, test } from 'vitest'
import { generator } from '../support/random.ts'
import { runServer } from '../support/server.ts'
import { browserIn, browserOf, crash, eventually, loaded, profile, site, tab } from './browser.ts'

const TOPIC = 'notes/1'
const ROUNDS = 20
const TIMEOUT = { timeout: 240_000 }

test(
  `the tab that sends is killed between sending and ack, ${ROUNDS} times: nothing lost, nothing doubled`,
  TIMEOUT,
  async () => {
    const random = generator('renderer kills')
    const pages = await site()
    const server = await runServer({ ALLOWED_ORIGINS: pages.url })
    onTestFinished(() => server.end())
    const context = await browserIn(profile())
    const stored: string[] = []
    const witness = await open(await tab(context, pages), server.url)

    for (let round = 0; round < ROUNDS; round++) {
      // Whoever leads is killed in the middle of its publishing; so the lead changes with each round.
      const page = await open(await tab(context, pages), server.url)
      const texts = await page.evaluate(
        async ([topic, round]) => {
          const texts = Array.from({ length: 20 }, (_, i) => `round ${round}, ${i}`)
          const receipts = texts.map((text) => kept.mess.topic(topic).publish(text))
          await Promise.all(receipts.map(({ stored }) => stored))
          return texts
        },
        [TOPIC, round] as const,
      )
      stored.push(...texts)
      for (let turns = random.below(40); turns > 0; turns--) await new Promise(setImmediate)
      await crash(page)
    }

    await eventually(() => log(witness), stored)
    await eventually(() => witness.evaluate(() => kept.mess.status.unsent), 0)
  },
)

test(
  `the browser is killed right after a message was stored, ${ROUNDS} times: nothing lost, nothing doubled`,
  TIMEOUT,
  async () => {
    const random = generator('browser kills')
    const pages = await site()
    const server = await runServer({ ALLOWED_ORIGINS: pages.url })
    onTestFinished(() => server.end())
    const folder = profile()
    const stored: string[] = []

    for (let round = 0; round < ROUNDS; round++) {
      const context = await browserIn(folder)
      const page = await open(await tab(context, pages), server.url)
      const count = random.pick([1, 5, 50])
      const texts = Array.from({ length: count }, (_, i) => `round ${round}, ${i}`)
      const closed = new Promise((resolve) => context.once('close', resolve))
      await page.evaluate(
        async ([topic, texts]) => {
          const receipts = texts.map((text) => kept.mess.topic(topic).publish(text))
          await Promise.all(receipts.map(({ stored }) => stored))
        },
        [TOPIC, texts] as const,
      )
      stored.push(...texts)
      process.kill(browserOf(folder), 'SIGKILL')
      await closed
    }

    const page = await open(await tab(await browserIn(folder), pages), server.url)
    await eventually(() => log(page), stored)
    await eventually(() => page.evaluate(() => kept.mess.status.unsent), 0)
  },
)

async function open(page: Page, url: string): Promise<Page> {
  await loaded(page)
  await page.evaluate((url) => {
    kept.mess = sdk.createMess({
      url,
      user: 'ana',
      token: async () => (await fetch('/token/ana')).text(),
      reconnect: { minMs: 20, maxMs: 200 },
    })
    void kept.mess.outbox
  }, url)
  return page
}

/** The whole log, as this page is told it. */
function log(page: Page): Promise<string[]> {
  return page.evaluate(async (topic) => {
    const texts: string[] = []
    let from: string | undefined
    do {
      const { messages, next } = await kept.mess
        .topic(topic)
        .history({ limit: 1_000, ...(from !== undefined && { from }) })
      texts.push(...messages.map(({ data }: { data: string }) => data))
      from = next
    } while (from !== undefined)
    return texts
  }, TOPIC)
}
