import type { Page } from 'playwright-core'
import { expect, test } from 'vitest'
import { browser, eventually, type Site, site, tab } from './browser.ts'

/** Local topics: no server, the tabs of one origin among themselves. */
const TOPIC = 'rooms/1'

test('tabs see every message in one order, and each tab learns the offsets of its own', async () => {
  const { one, two } = await twoTabs()
  await Promise.all([listen(one), listen(two)])

  const [ofOne, ofTwo] = await Promise.all([publish(one, 'one', 200), publish(two, 'two', 200)])

  await eventually(() => count(one), 400)
  await eventually(() => count(two), 400)
  const seen = await received(one)
  expect(await received(two)).toEqual(seen)
  for (const [name, acks] of [
    ['one', ofOne],
    ['two', ofTwo],
  ] as const) {
    const own = seen.filter(({ data }) => data.startsWith(name))
    expect(own.map(({ data }) => data)).toEqual(Array.from({ length: 200 }, (_, i) => `${name} ${i}`))
    expect(acks).toEqual(own.map(({ id, offset }) => ({ id, offset })))
  }
})

test('when the tab that is the home closes in the middle of a stream, another takes over and nothing is lost or doubled', async () => {
  const { one, two, context, pages } = await twoTabs()
  await Promise.all([listen(one), listen(two)])
  const [home, other] = (await role(one)) === 'leader' ? [one, two] : [two, one]
  await publish(other, 'before', 20)
  const rest = publish(other, 'during', 300)
  await eventually(async () => (await count(home)) > 30, true)

  await home.close()

  const acks = await rest
  await eventually(() => count(other), 320)
  const seen = await received(other)
  expect(seen.map(({ offset }) => offset)).toEqual(Array.from({ length: 320 }, (_, i) => i))
  expect(new Set(seen.map(({ id }) => id)).size).toBe(320)
  for (const { id, offset } of acks) if (offset !== undefined) expect(seen[offset]?.id).toBe(id)
  expect(await role(other)).toBe('leader')

  const late = await open(context, pages)
  const history = await late.evaluate(async (topic) => {
    const { messages } = await kept.mess.topic(topic).history({ limit: 1_000 })
    return messages.map(({ id }: { id: string }) => id)
  }, TOPIC)
  expect(history).toEqual(seen.map(({ id }) => id))
})

test('what a tab has stored is sent, also when it ends before it could tell anybody', async () => {
  const { one, two } = await twoTabs()
  await listen(one)
  await eventually(() => role(one), 'leader')
  const stored = await two.evaluate(async (topic) => {
    await kept.mess.topic(topic).publish('told')
    BroadcastChannel.prototype.postMessage = () => {}
    return kept.mess.topic(topic).publish('not told').stored
  }, TOPIC)
  expect(stored).toEqual({ durability: 'disk' })

  await two.close()

  await eventually(async () => (await received(one)).map(({ data }) => data), ['told', 'not told'])
})

async function twoTabs() {
  const pages = await site()
  const context = await browser()
  const one = await open(context, pages)
  const two = await open(context, pages)
  return { pages, context, one, two }
}

async function open(context: Awaited<ReturnType<typeof browser>>, pages: Site): Promise<Page> {
  const page = await tab(context, pages)
  await page.evaluate(() => {
    kept.mess = sdk.createMess()
    kept.errors = []
    kept.mess.on('error', (error: Error) => kept.errors.push(String(error)))
  })
  return page
}

async function listen(page: Page): Promise<void> {
  await page.evaluate(async (topic) => {
    kept.seen = []
    await kept.mess.topic(topic).subscribe(({ data, id, offset }: { data: string; id: string; offset: number }) => {
      kept.seen.push({ data, id, offset })
    }).ready
  }, TOPIC)
}

/** One publish a task, so that those of two tabs meet. */
function publish(page: Page, name: string, count: number): Promise<{ id: string; offset: number | undefined }[]> {
  return page.evaluate(
    async ([topic, name, count]) => {
      const receipts = []
      for (let i = 0; i < count; i++) {
        receipts.push(kept.mess.topic(topic).publish(`${name} ${i}`))
        if (i % 3 === 0) await new Promise((resolve) => setTimeout(resolve))
      }
      return Promise.all(receipts.map(async (receipt) => ({ id: receipt.id, offset: (await receipt).offset })))
    },
    [TOPIC, name, count] as const,
  )
}

const count = (page: Page): Promise<number> => page.evaluate(() => kept.seen.length)
const received = (page: Page): Promise<{ data: string; id: string; offset: number }[]> => page.evaluate(() => kept.seen)
const role = (page: Page): Promise<string> => page.evaluate(() => kept.mess.status.role)
