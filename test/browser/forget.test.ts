import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { runServer } from '../support/server.ts'
import { browserIn, eventually, LONG_MS, profile, site, tab } from './browser.ts'

const TOPIC = 'notes/1'
const MARKER = 'a word that nobody else writes'

test.each([true, false])(
  'forget() signs out in all tabs and leaves nothing in the databases, but refuses while something is unsent (buckets: %s)',
  {
    timeout: LONG_MS,
  },
  async (buckets) => {
    const pages = await site({ buckets })
    const server = await runServer({ ALLOWED_ORIGINS: pages.url })
    onTestFinished(() => server.end())
    const context = await browserIn(profile())
    const one = await tab(context, pages)
    const two = await tab(context, pages)
    for (const page of [one, two]) {
      await page.evaluate(
        async ([url, topic]) => {
          kept.mess = sdk.createMess({ url, user: 'ana', token: async () => (await fetch('/token/ana')).text() })
          const messages = kept.mess.topic(topic, { replica: { maxMessages: 100 } })
          await messages.view((list: unknown[]) => {
            kept.list = list
          }).ready
          await messages.subscribe(() => {}, { resume: `reader ${Math.random()}`, from: 'start' }).ready
        },
        [server.url, TOPIC] as const,
      )
    }
    await one.evaluate(([topic, marker]) => kept.mess.topic(topic).publish(marker), [TOPIC, MARKER] as const)
    await eventually(() => two.evaluate(() => kept.list.map(({ pending }: { pending: boolean }) => pending)), [false])
    expect(await one.evaluate(contents)).toContain(MARKER)
    await server.kill()
    await two.evaluate(([topic, marker]) => kept.mess.topic(topic).publish(marker).stored, [TOPIC, MARKER] as const)

    const refused = await one.evaluate(() =>
      kept.mess.forget({ unsent: 'refuse' }).then(
        () => 'done',
        (error: { code: string }) => error.code,
      ),
    )
    expect(refused).toBe('unsent')
    expect(await one.evaluate(() => kept.mess.status.unsent)).toBe(1)
    await one.evaluate(() => kept.mess.forget({ unsent: 'discard' }))

    expect(await one.evaluate(() => kept.mess.status.connection)).toBe('closed')
    await eventually(() => two.evaluate(() => kept.mess.status.connection), 'closed')
    await eventually(() => one.evaluate(contents), '[]')

    // The next user, and the same one again, find nothing of it.
    await server.restart()
    const again = await two.evaluate(
      async ([url, topic]) => {
        const mess = sdk.createMess({ url, user: 'ana', token: async () => (await fetch('/token/ana')).text() })
        const entries = await mess.outbox.list()
        const { messages } = await mess.topic(topic).history()
        await mess.close()
        return { entries, count: messages.length }
      },
      [server.url, TOPIC] as const,
    )
    expect(again).toEqual({ entries: [], count: 1 })
  },
)

test("without a server, forget() deletes the topics of one's own", { timeout: LONG_MS }, async () => {
  const pages = await site()
  const page = await tab(await browserIn(profile()), pages)
  const left = await page.evaluate(async (topic) => {
    const mess = sdk.createMess()
    await mess.topic(topic).publish('mine')
    await mess.forget({ unsent: 'refuse' })
    const next = sdk.createMess()
    const { messages } = await next.topic(topic).history()
    return messages.length
  }, TOPIC)

  expect(left).toBe(0)
})

test('after forget() no byte of what was published is left in any file of the profile', {
  timeout: LONG_MS,
}, async () => {
  const pages = await site()
  const server = await runServer({ ALLOWED_ORIGINS: pages.url })
  onTestFinished(() => server.end())
  const folder = profile()
  let context = await browserIn(folder)
  const [page, other] = [await tab(context, pages), await tab(context, pages)]
  for (const each of [page, other])
    await each.evaluate(
      async ([url, topic]) => {
        kept.mess = sdk.createMess({ url, user: 'ana', token: async () => (await fetch('/token/ana')).text() })
        await kept.mess.topic(topic, { replica: { maxMessages: 100 } }).view(() => {}).ready
      },
      [server.url, TOPIC] as const,
    )
  // One lies in the replica, one is set to be sent, and both were often rewritten.
  const publish = (each: typeof page) =>
    each.evaluate(
      async ([topic, marker]) => {
        for (let i = 0; i < 50; i++) await kept.mess.topic(topic).publish(marker)
      },
      [TOPIC, MARKER] as const,
    )
  await Promise.all([publish(page), publish(other)])
  await server.kill()
  await other.evaluate(([topic, marker]) => kept.mess.topic(topic).publish(marker).stored, [TOPIC, MARKER] as const)
  expect(filesWith(folder, MARKER)).not.toEqual([])

  await page.evaluate(() => kept.mess.forget({ unsent: 'discard' }))

  expect(filesWith(folder, MARKER)).toEqual([])
  await context.close()
  expect(filesWith(folder, MARKER)).toEqual([])
  context = await browserIn(folder)
  const again = await tab(context, pages)
  const left = await again.evaluate(async () => ({
    databases: await databaseCount(),
    caches: (await caches.keys()).length,
    items: localStorage.length + sessionStorage.length,
  }))
  expect(left).toEqual({ databases: 0, caches: 0, items: 0 })
})

test('forget() deletes also while a close() still waits for acks', { timeout: LONG_MS }, async () => {
  const page = await tab(await browserIn(profile()), await site())

  await page.evaluate(async (topic) => {
    const mess = sdk.createMess({ url: 'http://127.0.0.1:9/' })
    await mess.topic(topic).publish('never sent').stored
    const closed = mess.close({ waitMs: 200 })
    await mess.forget({ unsent: 'discard' })
    await closed
  }, TOPIC)

  expect(await page.evaluate(() => databaseCount())).toBe(0)
})

test('forget() says so where nothing could be deleted, also in a tab that never had the database', {
  timeout: LONG_MS,
}, async () => {
  const page = await tab(await browserIn(profile()), await site())

  const { code, left } = await page.evaluate(async (topic) => {
    const make = () => sdk.createMess({ url: 'http://127.0.0.1:9/', user: 'ana' })
    const before = make()
    await before.topic(topic).publish('never sent').stored
    await before.close()
    const buckets = Object.getPrototypeOf((navigator as unknown as { storageBuckets: object }).storageBuckets)
    const { open, delete: remove } = buckets
    const broken = () => Promise.reject(new DOMException('The disk does not answer', 'UnknownError'))
    Object.assign(buckets, { open: broken, delete: broken })
    const mess = make()
    mess.on('error', () => {})
    const code = await mess.forget({ unsent: 'discard' }).then(
      () => 'done',
      (error: { code: string }) => error.code,
    )
    Object.assign(buckets, { open, delete: remove })
    const after = make()
    const left = (await after.outbox.list()).length
    await after.close()
    return { code, left }
  }, TOPIC)

  expect({ code, left }).toEqual({ code: 'storage_lost', left: 1 })
})

test.each([true, false])(
  'what another tab was about to write when the user was signed out is not written (buckets: %s)',
  {
    timeout: LONG_MS,
  },
  async (buckets) => {
    const page = await tab(await browserIn(profile()), await site({ buckets }))

    await page.evaluate(
      async ([name, topic]) => {
        const bus = new BroadcastChannel(name)
        const [one, two] = [sdk.createMess(), sdk.createMess()]
        for (const mess of [one, two]) await mess.outbox.list()
        const factory = (await factories()).at(-1) as IDBFactory
        const request = factory.open(name)
        await new Promise((resolve) => {
          request.onsuccess = resolve
        })
        const db = request.result
        // This hears it before the other tab does. One message is being written until the database is to be deleted, one waits behind it.
        bus.onmessage = async ({ data }) => {
          if (data.kind !== 'forget') return
          const store = db.transaction('outbox', 'readwrite').objectStore('outbox')
          let over = false
          const hold = () => {
            if (!over) store.count().onsuccess = hold
          }
          hold()
          // Asked to let go, or made to, where the database has a bucket.
          db.onclose = () => {
            over = true
          }
          db.onversionchange = () =>
            setTimeout(() => {
              over = true
              db.close()
            })
          const publish = (text: string) =>
            void two
              .topic(topic)
              .publish(text)
              .stored.catch(() => {})
          publish('being written')
          for (let i = 0; i < 20; i++) await undefined
          publish('to be written')
        }
        await one.forget({ unsent: 'discard' })
        await two.close()
      },
      ['messkit/main/local/nobody', TOPIC] as const,
    )

    await eventually(() => page.evaluate(() => databaseCount()), 0)
  },
)

test('what was kept before the browser had buckets is found, sent and deleted', { timeout: LONG_MS }, async () => {
  const pages = await site()
  const context = await browserIn(profile())
  // A page of the same origin in the same profile, in a browser that has none yet.
  await context.addInitScript(() => {
    if (location.hash === '#old') Reflect.deleteProperty(Navigator.prototype, 'storageBuckets')
  })
  const old = await tab(context, { ...pages, url: `${pages.url}/#old` })
  await old.evaluate(
    async ([topic, marker]) => {
      const mess = sdk.createMess({ url: 'http://127.0.0.1:9/' })
      await mess.topic(topic).publish(marker).stored
      await mess.close()
    },
    [TOPIC, MARKER] as const,
  )
  const page = await tab(context, pages)

  const found = await page.evaluate(async () => {
    kept.mess = sdk.createMess({ url: 'http://127.0.0.1:9/' })
    return (await kept.mess.outbox.list()).length
  })
  await page.evaluate(() => kept.mess.forget({ unsent: 'discard' }))

  expect(found).toBe(1)
  expect(await page.evaluate(() => databaseCount())).toBe(0)
})

/** Files that hold a text as it is, in either of the ways in which browsers write it. */
function filesWith(folder: string, text: string): string[] {
  const forms = [Buffer.from(text), Buffer.from(text, 'utf16le')]
  return readdirSync(folder, { recursive: true, withFileTypes: true }).flatMap((entry) => {
    if (!entry.isFile()) return []
    const path = join(entry.parentPath, entry.name)
    const bytes = readIfThere(path)
    return forms.some((form) => bytes?.includes(form)) ? [path] : []
  })
}

/** A browser that runs deletes files at any time. */
function readIfThere(path: string): Buffer | undefined {
  try {
    return readFileSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** Everything in all databases of the origin, as text. */
async function contents(): Promise<string> {
  const found: unknown[] = []
  for (const factory of await factories()) {
    for (const { name } of await factory.databases()) {
      const db = await new Promise<IDBDatabase>((resolve) => {
        const request = factory.open(name as string)
        request.onsuccess = () => resolve(request.result)
      })
      for (const store of db.objectStoreNames) {
        const all = await new Promise<unknown[]>((resolve) => {
          const request = db.transaction(store).objectStore(store).getAll()
          request.onsuccess = () => resolve(request.result)
        })
        if (all.length > 0) found.push([name, store, all])
      }
      db.close()
    }
  }
  return JSON.stringify(found)
}
