import type { BrowserContext, Page } from 'playwright-core'
import { expect, test } from 'vitest'
import { browser, eventually, type Site, site, tab } from './browser.ts'

const TOPIC = 'cursors/1'

test('tabs share a topic that nothing keeps: in one order, with what came before, and nothing is left on the disk', async () => {
  const { one, two, pages, context } = await twoTabs()
  await Promise.all([publish(one, 'one', 100), publish(two, 'two', 100)])

  const late = await open(context, pages)
  for (const page of [one, two, late]) await eventually(async () => (await seen(page)).length, 200)
  expect(await seen(two)).toEqual(await seen(one))
  expect(await seen(late)).toEqual(await seen(one))
  expect(await one.evaluate(() => databaseCount())).toBe(0)
  expect(await one.evaluate(() => kept.mess.status)).toMatchObject({ storage: 'memory', connection: 'local' })
})

test('when the leading tab closes the topic begins anew: a gap says so, and what comes then arrives once', async () => {
  const { one, two, context, pages } = await twoTabs()
  const third = await open(context, pages)
  await publish(two, 'before', 10)
  for (const page of [one, two, third]) await eventually(async () => (await seen(page)).length, 10)

  await one.close()
  await publish(two, 'after', 10)
  await publish(third, 'third', 10)

  for (const page of [two, third]) await eventually(async () => (await seen(page)).length, 31)
  const [list, other] = [await seen(two), await seen(third)]
  expect(list.slice(10)[0]).toBe('gap epoch')
  expect(list.slice(11).sort()).toEqual([...numbered('after'), ...numbered('third')].sort())
  expect(other.slice(10)).toEqual(list.slice(10))
  expect(await two.evaluate(() => kept.refused)).toEqual([])
})

test('users and applications on one origin do not meet', async () => {
  const pages = await site()
  const context = await browser()
  const page = await tab(context, pages)

  const counts = await page.evaluate(async (topic) => {
    const owners = [{ user: 'ana' }, { user: 'bo' }, { user: 'ana', name: 'other' }]
    const messes = owners.map((owner) => sdk.createMess({ storage: 'memory', ...owner }))
    await messes[0]?.topic(topic).publish('mine')
    return Promise.all(messes.map(async (mess) => (await mess.topic(topic).history()).messages.length))
  }, TOPIC)

  expect(counts).toEqual([1, 0, 0])
})

async function twoTabs() {
  const pages = await site()
  const context = await browser()
  const one = await open(context, pages)
  await eventually(() => one.evaluate(() => kept.mess.status.role), 'leader')
  return { pages, context, one, two: await open(context, pages) }
}

async function open(context: BrowserContext, pages: Site): Promise<Page> {
  const page = await tab(context, pages)
  await page.evaluate(async (topic) => {
    kept.mess = sdk.createMess({ storage: 'memory' })
    kept.seen = []
    kept.refused = []
    kept.mess.on('refused', ({ id }: { id: string }) => void kept.refused.push(id))
    const subscription = kept.mess.topic(topic).subscribe(({ data }: { data: string }) => void kept.seen.push(data), {
      from: 'start',
      onGap: ({ reason }: { reason: string }) => void kept.seen.push(`gap ${reason}`),
    })
    await subscription.ready
  }, TOPIC)
  return page
}

function publish(page: Page, name: string, count: number): Promise<unknown> {
  return page.evaluate(
    async ([topic, name, count]) => {
      const receipts = []
      for (let i = 0; i < count; i++) {
        receipts.push(kept.mess.topic(topic).publish(`${name} ${i}`))
        if (i % 3 === 0) await new Promise((resolve) => setTimeout(resolve))
      }
      await Promise.all(receipts)
    },
    [TOPIC, name, count] as const,
  )
}

const seen = (page: Page): Promise<string[]> => page.evaluate(() => kept.seen)
const numbered = (name: string): string[] => Array.from({ length: 10 }, (_, i) => `${name} ${i}`)
