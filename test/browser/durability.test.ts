import { expect, onTestFinished, test } from 'vitest'
import { runServer } from '../support/server.ts'
import { browser, browserIn, eventually, LONG_MS, profile, site, tab } from './browser.ts'
import { closeDatabases } from './databases.ts'

const TOPIC = 'notes/1'

test('what was stored offline survives the crash of the browser, and is sent once, in order', {
  timeout: LONG_MS,
}, async () => {
  const pages = await site()
  const server = await runServer({ ALLOWED_ORIGINS: pages.url })
  onTestFinished(() => server.end())
  await server.kill()
  const folder = profile()
  const before = await browserIn(folder)
  const page = await tab(before, pages)
  const count = 300
  const stored = await page.evaluate(
    async ([url, topic, count]) => {
      const mess = sdk.createMess({ url, user: 'ana', token: async () => (await fetch('/token/ana')).text() })
      const receipts = []
      for (let i = 0; i < count; i++) {
        receipts.push(mess.topic(topic).publish(i))
        if (i % 50 === 0) await receipts.at(-1)?.stored
      }
      return (await receipts.at(-1)?.stored)?.durability
    },
    [server.url, TOPIC, count] as const,
  )
  expect(stored).toBe('disk')

  const gone = new Promise((resolve) => before.once('close', resolve))
  const cdp = await before.newCDPSession(page)
  cdp.send('Browser.crash').catch(() => {})
  await gone
  await server.restart()
  const after = await tab(await browserIn(folder), pages)
  // Nothing but a client: the outbox drains by itself.
  await after.evaluate(
    ([url]) => {
      kept.mess = sdk.createMess({ url, user: 'ana', token: async () => (await fetch('/token/ana')).text() })
      void kept.mess.outbox
    },
    [server.url] as const,
  )
  await eventually(
    () =>
      after.evaluate(async (topic) => {
        const { messages } = await kept.mess.topic(topic).history({ limit: 1_000 })
        return messages.map(({ data }: { data: number }) => data)
      }, TOPIC),
    Array.from({ length: count }, (_, i) => i),
  )
  await eventually(() => after.evaluate(() => kept.mess.status.unsent), 0)
})

test('messages of one user are never sent as another', { timeout: LONG_MS }, async () => {
  const pages = await site()
  const server = await runServer({ ALLOWED_ORIGINS: pages.url })
  onTestFinished(() => server.end())
  await server.kill()
  const page = await tab(await browser(), pages)
  const client = (user: string) =>
    page.evaluate(
      ([url, user]) => {
        kept[user] = sdk.createMess({ url, user, token: async () => (await fetch(`/token/${user}`)).text() })
      },
      [server.url, user] as const,
    )

  await client('ana')
  await page.evaluate(async (topic) => {
    await kept.ana.topic(topic).publish('of ana').stored
    await kept.ana.close()
  }, TOPIC)
  await server.restart()
  await client('bob')
  await page.evaluate((topic) => kept.bob.topic(topic).publish('of bob'), TOPIC)
  const history = (user: string) =>
    page.evaluate(
      async ([user, topic]) => {
        const { messages } = await kept[user].topic(topic).history()
        return messages.map(({ data }: { data: string }) => data)
      },
      [user, TOPIC] as const,
    )
  expect(await history('bob')).toEqual(['of bob'])

  await client('ana')
  await page.evaluate(() => void kept.ana.outbox)
  await eventually(() => history('bob'), ['of bob', 'of ana'])
})

test('when the quota is full, what does not fit is refused by name, and what was stored stays and is sent', {
  timeout: LONG_MS,
}, async () => {
  const pages = await site()
  const server = await runServer({ ALLOWED_ORIGINS: pages.url })
  onTestFinished(() => server.end())
  await server.kill()
  const context = await browserIn(profile())
  const page = await tab(context, pages)
  const cdp = await context.newCDPSession(page)
  const quota = (quotaSize?: number) =>
    cdp.send('Storage.overrideQuotaForOrigin', {
      origin: new URL(pages.url).origin,
      ...(quotaSize === undefined ? {} : { quotaSize }),
    })

  // Before the first use: the browser remembers for a while how much room there was.
  await quota(400_000)
  await page.evaluate(
    async ([url, topic]) => {
      kept.mess = sdk.createMess({
        url,
        user: 'ana',
        token: async () => (await fetch('/token/ana')).text(),
        reconnect: { minMs: 20, maxMs: 200 },
      })
      await kept.mess.topic(topic).publish('small').stored
    },
    [server.url, TOPIC] as const,
  )
  const outcome = await page.evaluate(async (topic) => {
    const outcomes: string[] = []
    // What compresses well would fit.
    const noise = () =>
      Array.from(crypto.getRandomValues(new Uint8Array(30_000)), (byte) => byte.toString(16).padStart(2, '0')).join('')
    for (let i = 0; i < 20; i++) {
      const receipt = kept.mess.topic(topic).publish(`${i} ${noise()}`)
      outcomes.push(
        await receipt.stored.then(
          () => 'disk',
          (error: { code: string }) => error.code,
        ),
      )
      if (outcomes[i] !== 'disk')
        outcomes.push(
          await receipt.then(
            () => 'acked',
            (error: { code: string }) => error.code,
          ),
        )
    }
    return { outcomes, storage: kept.mess.status.storage }
  }, TOPIC)

  const stored = outcome.outcomes.filter((text) => text === 'disk').length
  expect(stored).toBeGreaterThan(0)
  expect(stored).toBeLessThan(20)
  expect(new Set(outcome.outcomes)).toEqual(new Set(['disk', 'store_full']))
  expect(outcome.storage).toBe('full')

  await quota()
  await page.evaluate((topic) => kept.mess.topic(topic).publish('room again').stored, TOPIC)
  expect(await page.evaluate(() => kept.mess.status.storage)).toBe('disk')
  await server.restart()
  await eventually(() => page.evaluate(() => kept.mess.status.unsent), 0)
  const sent = await page.evaluate(async (topic) => {
    const { messages } = await kept.mess.topic(topic).history()
    return messages.map(({ data }: { data: string }) => data.slice(0, 10).split(' ')[0])
  }, TOPIC)
  expect(sent).toHaveLength(stored + 2)
  expect(sent[0]).toBe('small')
  expect(sent.at(-1)).toBe('room')
})

test('where there is no room at all when a browser starts, what it has stored is sent all the same', {
  timeout: LONG_MS,
}, async () => {
  const pages = await site()
  const server = await runServer({ ALLOWED_ORIGINS: pages.url })
  onTestFinished(() => server.end())
  await server.kill()
  const folder = profile()
  const before = await browserIn(folder)
  await (await tab(before, pages)).evaluate(
    async ([url, topic]) => {
      const mess = sdk.createMess({ url, user: 'ana', token: async () => (await fetch('/token/ana')).text() })
      await mess.topic(topic).publish('stored').stored
    },
    [server.url, TOPIC] as const,
  )
  await before.close()
  await server.restart()
  const after = await browserIn(folder)
  const page = await tab(after, pages)
  const cdp = await after.newCDPSession(page)
  await cdp.send('Storage.overrideQuotaForOrigin', { origin: new URL(pages.url).origin, quotaSize: 1 })

  const { data, status, code } = await page.evaluate(
    async ([url, topic]) => {
      const mess = sdk.createMess({ url, user: 'ana', token: async () => (await fetch('/token/ana')).text() })
      const sent = new Promise((resolve) => mess.topic(topic).subscribe(({ data }) => resolve(data), { from: 'start' }))
      const code = await mess
        .topic(topic)
        .publish('too much')
        .catch((error) => error.code)
      return { data: await sent, status: mess.status, code }
    },
    [server.url, TOPIC] as const,
  )

  expect(data).toBe('stored')
  expect(status).toMatchObject({ storage: 'full', role: 'leader' })
  expect(code).toBe('store_full')
})

test('when the browser closes the database in the middle of writing, all is stored and sent once, in order', {
  timeout: LONG_MS,
}, async () => {
  const pages = await site()
  const server = await runServer({ ALLOWED_ORIGINS: pages.url })
  onTestFinished(() => server.end())
  const context = await browserIn(profile())
  const page = await tab(context, pages)
  const internals = await context.newPage()
  await page.evaluate(
    async ([url, topic]) => {
      kept.mess = sdk.createMess({ url, user: 'ana', token: async () => (await fetch('/token/ana')).text() })
      kept.count = 0
      kept.publish = () => kept.mess.topic(topic).publish(kept.count++)
      await kept.publish().stored
    },
    [server.url, TOPIC] as const,
  )
  const publishing = page.evaluate(async () => {
    while (!kept.enough) await kept.publish().stored
    return (await kept.publish()).offset
  })

  for (let round = 0; round < 3; round++) await closeDatabases(internals, pages.url)
  await page.evaluate(() => {
    kept.enough = true
  })

  expect(await publishing).toBe(await page.evaluate(() => kept.count - 1))
  const { data, durability } = await page.evaluate(async (topic) => {
    const { messages } = await kept.mess.topic(topic).history({ limit: 1_000, reverse: true })
    const { durability } = await kept.publish().stored
    return { data: messages.map(({ data }: { data: number }) => data), durability }
  }, TOPIC)
  expect(data).toEqual(data.map((_: number, i: number) => data[0] - i))
  expect(durability).toBe('disk')
})

test('what is stored is stored also after the page’s memory was tidied up', { timeout: LONG_MS }, async () => {
  const context = await browserIn(profile())
  const page = await tab(context, await site())
  const memory = await context.newCDPSession(page)
  await page.evaluate(async () => {
    kept.mess = sdk.createMess({ url: 'http://127.0.0.1:9/' })
    await kept.mess.outbox.list()
  })

  for (let i = 0; i < 20; i++) {
    await memory.send('HeapProfiler.collectGarbage')
    const stored = await page.evaluate((i) => kept.mess.topic('garbage/1').publish(i).stored, i)
    expect(stored).toEqual({ durability: 'disk' })
  }
})
