import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createMess } from '@messkit/sdk'
import { aesGcm, endToEnd } from '@messkit/sdk/cipher'
import type { BrowserContext, Page } from 'playwright-core'
import { expect, onTestFinished, test } from 'vitest'
import { makeToken, runServer } from '../support/server.ts'
import { browser, browserIn, eventually, LONG_MS, profile, type Site, site, tab } from './browser.ts'

const TOPIC = 'secrets/1'
const MARKER = 'nobody-may-read-this'

interface Shown {
  readonly data: unknown
  readonly pending: boolean
  readonly by: string | undefined
}

test('nothing that a browser keeps can be read, and what was published offline is sent by a later page', {
  timeout: LONG_MS,
}, async () => {
  const pages = await site()
  const server = await runServer({ ALLOWED_ORIGINS: pages.url })
  onTestFinished(() => server.end())
  const folder = profile()
  let context = await browserIn(folder)
  const first = await open(context, pages, server.url)
  await view(first)
  await publish(first, 'before', 20)
  await eventually(async () => texts(await list(first)), numbered('before', 20))
  await context.close()
  await server.kill()

  context = await browserIn(folder)
  const offline = await open(context, pages, server.url)
  await view(offline)
  await eventually(async () => texts(await list(offline)), numbered('before', 20))
  const stored = await offline.evaluate(async (marker) => {
    const receipts = Array.from({ length: 200 }, (_, i) => kept.topic.publish({ text: `${marker} offline ${i}` }))
    return (await Promise.all(receipts.map(({ stored }: { stored: Promise<unknown> }) => stored))).at(-1)
  }, MARKER)
  expect(stored).toEqual({ durability: 'disk' })
  const all = [...numbered('before', 20), ...numbered('offline', 200)]
  await eventually(async () => texts(await list(offline)), all)
  const records = await everythingIn(offline)
  expect(records).toContain('sealed.1')
  expect(records).toContain(TOPIC)
  expect(records).not.toContain(MARKER)
  await context.close()
  expect(bytesOf(folder)).toContain('sealed.1')
  expect(bytesOf(folder)).not.toContain(MARKER)

  context = await browserIn(folder)
  const later = await open(context, pages, server.url)
  await view(later)
  await eventually(async () => texts(await list(later)), all)
  expect((await list(later)).filter(({ pending }) => pending)).toHaveLength(200)
  await server.restart()
  await eventually(async () => (await list(later)).filter(({ pending }) => pending).length, 0)

  expect(texts(await list(later))).toEqual(all)
  expect(new Set((await list(later)).map(({ by }) => by))).toEqual(new Set(['ana']))
  expect(await later.evaluate(() => kept.errors)).toEqual([])
  expect(await everythingIn(later)).not.toContain(MARKER)
  await context.close()
  await server.kill()
  expect(bytesOf(server.dataDir)).toContain('sealed.1')
  expect(bytesOf(server.dataDir)).not.toContain(MARKER)
})

test.each([
  { home: 'the tabs', local: true },
  { home: 'a server', local: false },
])(
  'several tabs publish and show the same sealed messages; their home is $home',
  {
    timeout: LONG_MS,
  },
  async ({ local }) => {
    const pages = await site()
    const server = local ? undefined : await runServer({ ALLOWED_ORIGINS: pages.url })
    onTestFinished(() => server?.end())
    const context = await browser()
    const tabs: Page[] = []
    for (let i = 0; i < 3; i++) tabs.push(await open(context, pages, server?.url))
    for (const page of tabs) await view(page)
    for (const page of tabs) await subscribe(page)

    await Promise.all(tabs.map((page, i) => publish(page, `tab ${i}`, 50)))

    for (const page of tabs)
      await eventually(async () => (await list(page)).filter(({ pending }) => !pending).length, 150)
    const [lists, seen] = [
      await Promise.all(tabs.map(list)),
      await Promise.all(tabs.map((page) => page.evaluate(() => kept.seen))),
    ]
    for (const [i, one] of lists.entries()) {
      expect(texts(one)).toEqual(texts(lists[0] as Shown[]))
      expect(seen[i]).toEqual(texts(one))
    }
    // Each tab's own messages came in the order in which it published them.
    for (let i = 0; i < 3; i++)
      expect(texts(lists[0] as Shown[]).filter((text) => text.includes(`tab ${i} `))).toEqual(numbered(`tab ${i}`, 50))
    for (const page of tabs) expect(await page.evaluate(() => kept.errors)).toEqual([])
    expect(await everythingIn(tabs[0] as Page)).not.toContain(MARKER)
  },
)

test('a message that cannot be sealed leaves no trace on the disk, and those around it are stored in order', {
  timeout: LONG_MS,
}, async () => {
  const pages = await site()
  const page = await open(await browser(), pages, undefined)

  const fates = await page.evaluate(async () => {
    const good = kept.keys
    const cipher = {
      keyId: 'k1',
      open: good.open,
      seal: (plain: Uint8Array, binding: unknown) =>
        new TextDecoder().decode(plain).includes('"bad"') ? Promise.reject(new Error('no')) : good.seal(plain, binding),
    }
    const topic = kept.mess.topic('secrets/2', { cipher: sdk.endToEnd(cipher as never) })
    const receipts = ['a', 'b', 'bad', 'c', 'bad', 'bad', 'd'].map((data) => topic.publish(data))
    const fates = await Promise.allSettled(receipts.map(({ stored }) => stored))
    await Promise.allSettled(receipts)
    const { messages } = await topic.history()
    return {
      stored: fates.map((fate) => (fate.status === 'fulfilled' ? fate.value.durability : fate.reason.code)),
      ids: receipts.map(({ id }) => id),
      messages: messages.map(({ data, id }: { data: unknown; id: string }) => [data, id]),
      unsent: kept.mess.status.unsent,
    }
  })

  const failed = 'cipher_failed'
  expect(fates.stored).toEqual(['disk', 'disk', failed, 'disk', failed, failed, 'disk'])
  expect(fates.messages).toEqual([
    ['a', fates.ids[0]],
    ['b', fates.ids[1]],
    ['c', fates.ids[3]],
    ['d', fates.ids[6]],
  ])
  expect(fates.unsent).toBe(0)
})

test('messages behind one that cannot be sealed keep their ids, also where it is the first of those sealed together', {
  timeout: LONG_MS,
}, async () => {
  const pages = await site()
  const page = await open(await browser(), pages, undefined)

  const { ids, acked, stored } = await page.evaluate(async () => {
    // Answers at once, so that all of it is sealed before the first transaction is done.
    const cipher = {
      keyId: 'k1',
      open: async (sealed: Uint8Array) => sealed,
      seal: (plain: Uint8Array) =>
        new TextDecoder().decode(plain).includes('"bad"') ? Promise.reject(new Error('no')) : Promise.resolve(plain),
    }
    const topic = kept.mess.topic('secrets/3', { cipher: sdk.endToEnd(cipher as never) })
    const bad = [1_000, 1_001, 2_000, 2_001, 2_003]
    const receipts = Array.from({ length: 2_005 }, (_, i) => topic.publish(bad.includes(i) ? 'bad' : i))
    const good = receipts.filter((_, i) => !bad.includes(i))
    await Promise.all(good.map(({ stored }: { stored: Promise<unknown> }) => stored))
    await kept.mess.close({ waitMs: 20_000 })
    const acks = await Promise.allSettled(good)
    const again = sdk.createMess({ user: 'ana' })
    const after = again.topic('secrets/3', { cipher: sdk.endToEnd(cipher as never) })
    const stored: [unknown, string][] = []
    for (let from: unknown; ; ) {
      const { messages, next } = await after.history({ limit: 1_000, ...(from !== undefined && { from }) } as never)
      stored.push(...messages.map(({ data, id }): [unknown, string] => [data, id]))
      from = next
      if (!from) break
    }
    await again.close()
    return {
      ids: receipts.flatMap(({ id }, i) => (bad.includes(i) ? [] : [[i, id]])),
      acked: acks.filter(({ status }) => status === 'fulfilled').length,
      stored,
    }
  })

  expect(stored).toEqual(ids)
  expect(acked).toBe(ids.length)
})

test('a view that opens slowly takes no more news of the copy than it can open, and comes to the newest', {
  timeout: LONG_MS,
}, async () => {
  const pages = await site()
  const server = await runServer({ ALLOWED_ORIGINS: pages.url })
  onTestFinished(() => server.end())
  const context = await browser()
  const [slow, other] = [await open(context, pages, server.url), await open(context, pages, server.url)]
  const count = 2_000
  await slow.evaluate((topic) => {
    const go = Promise.withResolvers<void>()
    Object.assign(kept, { asked: 0, go: go.resolve })
    const good = kept.keys
    const open = async (sealed: never, binding: never) => {
      kept.asked++
      await go.promise
      return good.open(sealed, binding)
    }
    const cipher = sdk.endToEnd({ keyId: 'k1', seal: good.seal, open })
    kept.topic = kept.mess.topic(topic, { cipher, replica: { maxMessages: 100 } })
  }, TOPIC)
  await view(slow)
  await view(other)

  // By another user: own messages are opened as they are published.
  const bo = createMess({ url: server.url, user: 'bo', token: () => makeToken({ sub: 'bo' }) })
  onTestFinished(async () => void (await bo.close()))
  const ring = aesGcm({ keys: new Map([['k1', new Uint8Array(32).fill(7)]]), current: 'k1', perTopic: true })
  const topic = bo.topic(TOPIC, { cipher: endToEnd(ring) })
  const all = numbered('all', count)
  for (let i = 0; i < count; i += 100) await Promise.all(all.slice(i, i + 100).map((text) => topic.publish({ text })))
  const newest = all.slice(-100)
  await eventually(async () => texts(await list(other)).slice(-100), newest)
  const asked = await slow.evaluate(() => kept.asked)
  await slow.evaluate(() => kept.go())

  await eventually(async () => texts((await list(slow)).filter(({ pending }) => !pending)).slice(-100), newest)
  expect(asked).toBeLessThan(count)
})

test('a client that is closed while a view opens something complains of nothing', { timeout: LONG_MS }, async () => {
  const pages = await site()
  const server = await runServer({ ALLOWED_ORIGINS: pages.url })
  onTestFinished(() => server.end())
  const page = await open(await browser(), pages, server.url)
  const said: string[] = []
  page.on('console', (message) => said.push(message.text()))

  await page.evaluate(async (topic) => {
    await kept.topic.publish({ text: 'hello' })
    const asked = Promise.withResolvers<void>()
    const go = Promise.withResolvers<void>()
    const good = kept.keys
    const open = async (sealed: never, binding: never) => {
      asked.resolve()
      await go.promise
      return good.open(sealed, binding)
    }
    const cipher = sdk.endToEnd({ keyId: 'k1', seal: good.seal, open })
    await kept.mess.topic(topic, { cipher, replica: { maxMessages: 10 } }).view(() => {}).ready
    await asked.promise
    await kept.mess.close()
    go.resolve()
    // Opening takes its time; another one that begins later ends later.
    const later = sdk.createMess().topic('later', { cipher: sdk.endToEnd(good) })
    await later.publish('one')
    await later.history()
  }, TOPIC)

  expect(said).toEqual([])
})

async function open(context: BrowserContext, pages: Site, url: string | undefined): Promise<Page> {
  const page = await tab(context, pages)
  await page.evaluate(
    ([url, topic]) => {
      const reconnect = { minMs: 20, maxMs: 200 }
      const token = async () => (await fetch('/token/ana')).text()
      kept.mess = sdk.createMess(url === undefined ? { user: 'ana' } : { url, user: 'ana', token, reconnect })
      kept.errors = []
      kept.mess.on('error', (error: { code: string }) => void kept.errors.push(error.code))
      kept.keys = sdk.aesGcm({ keys: new Map([['k1', new Uint8Array(32).fill(7)]]), current: 'k1', perTopic: true })
      const options = { cipher: sdk.endToEnd(kept.keys), replica: { maxMessages: 1_000 } }
      kept.topic = kept.mess.topic(topic, options)
    },
    [url, TOPIC] as const,
  )
  return page
}

const view = (page: Page): Promise<void> =>
  page.evaluate(() => {
    kept.list = []
    return kept.topic.view((list: unknown) => {
      kept.list = list
    }).ready
  })

const subscribe = (page: Page): Promise<unknown> =>
  page.evaluate(() => {
    kept.seen = []
    return kept.topic.subscribe(({ data }: { data: { text: string } }) => void kept.seen.push(data.text), {
      from: 'start',
    }).ready
  })

const publish = (page: Page, name: string, count: number): Promise<unknown> =>
  page.evaluate(
    async ([marker, name, count]) => {
      const receipts = []
      for (let i = 0; i < count; i++) {
        receipts.push(kept.topic.publish({ text: `${marker} ${name} ${i}` }))
        if (i % 7 === 0) await new Promise((resolve) => setTimeout(resolve))
      }
      await Promise.all(receipts)
    },
    [MARKER, name, count] as const,
  )

const list = (page: Page): Promise<Shown[]> => page.evaluate(() => kept.list)

const texts = (list: readonly Shown[]): string[] => list.map(({ data }) => (data as { text: string }).text)

const numbered = (name: string, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `${MARKER} ${name} ${i}`)

/** Every record of every database of the origin. */
const everythingIn = (page: Page): Promise<string> =>
  page.evaluate(async () => {
    const ask = <T>(request: IDBRequest<T>): Promise<T> =>
      new Promise((resolve, reject) => {
        request.onsuccess = () => resolve(request.result)
        request.onerror = () => reject(request.error)
      })
    const records: unknown[] = []
    for (const factory of await factories())
      for (const { name } of await factory.databases()) {
        const database = await ask(factory.open(name as string))
        const stores = [...database.objectStoreNames]
        const transaction = database.transaction(stores)
        for (const store of stores) records.push(await ask(transaction.objectStore(store).getAll()))
        database.close()
      }
    return JSON.stringify(records)
  })

/** All that lies in a folder, byte for byte. What Chromium writes in UTF-16 is found as well, since every other byte is left out. */
function bytesOf(folder: string): string {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1').replaceAll('\0', ''))
    .join('\n')
}
