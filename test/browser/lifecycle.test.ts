import type { Page } from 'playwright-core'
import { expect, test } from 'vitest'
import { browser, browserIn, eventually, profile, site, tab } from './browser.ts'

const TOPIC = 'life/1'

test('a client that is made, used and closed, and made again in the same tick, loses nothing and shows each message once', async () => {
  const page = await tab(await browser(), await site())

  const result = await page.evaluate(async (topic) => {
    const seen: string[] = []
    const mount = (text: string) => {
      const mess = sdk.createMess()
      mess.topic<string>(topic).subscribe(({ data }) => void seen.push(data), { from: 'start', resume: 'screen' })
      return { mess, receipt: mess.topic<string>(topic).publish(text) }
    }
    const first = mount('first')
    const closed = first.mess.close()
    const second = mount('second')
    const early = await first.receipt.then(
      () => 'acked',
      (error) => error.code,
    )
    await closed
    const ack = await second.receipt
    while (seen.length < 2) await new Promise((resolve) => setTimeout(resolve))
    return { early, ack: ack.offset, seen, stored: await first.receipt.stored, role: second.mess.status.role }
  }, TOPIC)

  // Two clients at once: which of them opens the database first, and so is first in the log, is the browser's to say.
  expect([0, 1]).toContain(result.ack)
  expect({ ...result, ack: undefined, seen: result.seen.toSorted() }).toEqual({
    early: 'closed',
    ack: undefined,
    seen: ['first', 'second'],
    stored: { durability: 'disk' },
    role: 'leader',
  })
})

test('a view that ends before it has begun is no error', async () => {
  const page = await tab(await browser(), await site())

  const errors = await page.evaluate(async (topic) => {
    const mess = sdk.createMess()
    const errors: string[] = []
    mess.on('error', ({ code }) => errors.push(code))
    const { ready } = mess.topic(topic).view(() => {})
    await mess.close()
    await ready.catch(() => {})
    return errors
  }, TOPIC)

  expect(errors).toEqual([])
})

test('instances that were never closed, as after a hot reload, go on beside each other', async () => {
  const page = await tab(await browser(), await site())

  await page.evaluate((topic) => {
    kept.all = Array.from({ length: 3 }, (_, i) => {
      const mess = sdk.createMess()
      const seen: string[] = []
      mess.topic<string>(topic).subscribe(({ data }) => void seen.push(data), { from: 'start' })
      for (let n = 0; n < 5; n++) mess.topic<string>(topic).publish(`${i}.${n}`)
      return { mess, seen }
    })
  }, TOPIC)
  for (const i of [0, 1, 2]) await eventually(() => page.evaluate((i) => kept.all[i].seen.length, i), 15)

  const seen: string[][] = await page.evaluate(() => kept.all.map(({ seen }: { seen: string[] }) => seen))
  expect(seen[1]).toEqual(seen[0])
  expect(seen[2]).toEqual(seen[0])
  expect(new Set(seen[0]).size).toBe(15)
  expect((await roles(page)).sort()).toEqual(['follower', 'follower', 'leader'])

  await page.evaluate(() => kept.all[0].mess.close())
  await eventually(async () => (await roles(page)).slice(1).filter((role) => role === 'leader').length, 1)
  const offset = await page.evaluate(
    async (topic) => (await kept.all[2].mess.topic(topic).publish('after')).offset,
    TOPIC,
  )
  expect(offset).toBe(15)
})

test('clients of other names and users on the same page have topics of their own', async () => {
  const page = await tab(await browser(), await site())

  const offsets = await page.evaluate(async (topic) => {
    const options = [{}, { name: 'other' }, { user: 'ana' }, { user: 'bob' }]
    const clients = options.map((option) => sdk.createMess(option))
    return Promise.all(clients.map(async (mess) => (await mess.topic(topic).publish('hello')).offset))
  }, TOPIC)

  expect(offsets).toEqual([0, 0, 0, 0])
})

test('importing and making a client open nothing', async () => {
  const page = await tab(await browser(), await site())

  const opened = await page.evaluate(async () => {
    sdk.createMess()
    const { held, pending } = await navigator.locks.query()
    return { databases: await databaseCount(), locks: [...(held ?? []), ...(pending ?? [])].length }
  })

  expect(opened).toEqual({ databases: 0, locks: 0 })
})

test('in an insecure context every tab is by itself, in memory, and says so', async () => {
  const { insecureUrl: url } = await site()
  const context = await browser()
  const tabs = [await tab(context, { url }), await tab(context, { url })]

  for (const page of tabs) {
    const result = await page.evaluate(async (topic) => {
      const mess = sdk.createMess()
      const receipt = mess.topic(topic).publish('hello')
      return { stored: await receipt.stored, offset: (await receipt).offset, status: mess.status }
    }, TOPIC)
    expect(result.offset).toBe(0)
    expect(result.stored).toEqual({ durability: 'memory' })
    expect(result.status).toMatchObject({ storage: 'memory', role: 'alone' })
  }
})

test('a name that positions are saved under is free while its page is frozen, and is taken again where the others stopped', async () => {
  const pages = await site()
  const context = await browser()
  const [one, two] = [await tab(context, pages), await tab(context, pages)]
  for (const page of [one, two])
    await page.evaluate(async (topic) => {
      kept.mess = sdk.createMess()
      kept.seen = []
      kept.resume = () =>
        kept.mess
          .topic(topic)
          .subscribe(({ data }: { data: string }) => void kept.seen.push(data), { resume: 'reader', from: 'start' })
      kept.publish = (data: string) => kept.mess.topic(topic).publish(data).stored
      await kept.mess.outbox.list()
    }, TOPIC)
  await one.evaluate(() => {
    kept.resume()
    return kept.publish('before')
  })
  await eventually(() => one.evaluate(() => kept.seen), ['before'])

  await one.evaluate(() => void document.dispatchEvent(new Event('freeze')))
  await two.evaluate(async () => {
    kept.reader = kept.resume()
    await kept.reader.ready
    await kept.publish('meanwhile')
  })
  await eventually(() => two.evaluate(() => kept.seen), ['meanwhile'])
  await two.evaluate(() => kept.reader.stop())
  await one.evaluate(() => void document.dispatchEvent(new Event('resume')))
  await two.evaluate(() => kept.publish('after'))

  await eventually(() => one.evaluate(() => kept.seen), ['before', 'after'])
})

test('a page in the back/forward cache holds nothing up, and comes back whole', async () => {
  const pages = await site()
  const context = await browserIn(profile(), { keepPages: true })
  const one = await tab(context, pages)
  await one.evaluate(async (topic) => {
    addEventListener('pageshow', ({ persisted }) => {
      kept.restored = persisted
    })
    kept.mess = sdk.createMess()
    kept.seen = []
    // A lock that is held for its name would keep the page out of the cache.
    await kept.mess.topic(topic).subscribe(({ data }: { data: number }) => void kept.seen.push(data), {
      resume: 'reader',
    }).ready
    await kept.mess.topic(topic).publish(0)
  }, TOPIC)
  const two = await tab(context, pages)
  await two.evaluate(() => {
    kept.mess = sdk.createMess()
  })

  await one.goto(pages.insecureUrl) // another site, so that the page is kept
  const offsets = await two.evaluate(
    async (topic) => Promise.all([1, 2, 3].map(async (n) => (await kept.mess.topic(topic).publish(n)).offset)),
    TOPIC,
  )
  expect(offsets).toEqual([1, 2, 3])
  await one.goBack({ waitUntil: 'commit' })

  await eventually(() => one.evaluate(() => kept.restored), true)
  await eventually(() => one.evaluate(() => kept.seen), [0, 1, 2, 3])
  expect(await one.evaluate(async (topic) => (await kept.mess.topic(topic).publish(4)).offset, TOPIC)).toBe(4)
  await eventually(() => one.evaluate(() => kept.seen), [0, 1, 2, 3, 4])
})

const roles = (page: Page): Promise<string[]> =>
  page.evaluate(() => kept.all.map(({ mess }: { mess: { status: { role: string } } }) => mess.status.role))
