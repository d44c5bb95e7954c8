import { expect, onTestFinished, test } from 'vitest'
import { runServer } from '../support/server.ts'
import { browserIn, eventually, LONG_MS, profile, site, tab } from './browser.ts'

const TOPIC = 'notes/1'
const MARKER = 'a word that nobody else writes'

test('forget() signs out in all tabs and leaves nothing in the databases, but refuses while something is unsent', {
  timeout: LONG_MS,
}, async () => {
  const pages = await site()
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
})

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

/** Everything in all databases of the origin, as text. */
async function contents(): Promise<string> {
  const found: unknown[] = []
  for (const { name } of await indexedDB.databases()) {
    const db = await new Promise<IDBDatabase>((resolve) => {
      const request = indexedDB.open(name as string)
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
  return JSON.stringify(found)
}
