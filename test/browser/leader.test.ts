import type { Browser, BrowserContext, Page } from 'playwright-core'
import { expect, onTestFinished, test } from 'vitest'
import { runProxy } from '../support/proxy.ts'
import { runServer } from '../support/server.ts'
import { browser, eventually, LONG_MS, loaded, type Site, site, tab } from './browser.ts'

const TOPICS = ['rooms/1', 'rooms/2', 'rooms/3']

test('ten tabs on three topics are three connections, and every tab sees everything in one order', {
  timeout: LONG_MS,
}, async () => {
  const { context, pages, proxy } = await stage()
  const tabs = await Promise.all(Array.from({ length: 10 }, () => open(context, pages, proxy.url)))
  for (const page of tabs) await listen(page)

  await Promise.all(tabs.map((page, i) => publish(page, `tab ${i}`, 5)))

  const lists = await Promise.all(tabs.map((page) => seen(page, 50 * TOPICS.length)))
  for (const list of lists) expect(list).toEqual(lists[0])
  expect(proxy.open).toBe(TOPICS.length)
})

test('a tab that reads slowly holds up no other tab, and gets everything in the end', {
  timeout: LONG_MS,
}, async () => {
  const { context, pages, proxy } = await stage()
  const [leader, slow, quick] = await tabs(context, pages, proxy.url, 3)
  await slow.evaluate((topic) => {
    kept.offsets = []
    const handled = new Promise<void>((resolve) => {
      kept.letGo = resolve
    })
    kept.mess.topic(topic).subscribe(
      ({ offset }: { offset: number }) => {
        kept.offsets.push(offset)
        return handled
      },
      { from: 'start' },
    )
  }, TOPICS[0])
  await listen(quick)
  // Three times what may be on its way to a reader that handles nothing.
  await leader.evaluate(async (topic) => {
    const text = 'x'.repeat(10_000)
    await Promise.all(Array.from({ length: 300 }, (_, i) => kept.mess.topic(topic).publish(`${i} ${text}`)))
  }, TOPICS[0])

  await eventually(() => quick.evaluate(() => kept.seen.length), 300)
  expect(await slow.evaluate(() => kept.offsets)).toEqual([0])
  await slow.evaluate(() => kept.letGo())
  await eventually(() => slow.evaluate(() => kept.offsets.length), 300)
  expect(await slow.evaluate(() => kept.offsets)).toEqual(Array.from({ length: 300 }, (_, i) => i))
})

test('a tab pages through history, and says how the leader is connected', { timeout: LONG_MS }, async () => {
  const { context, pages, proxy, server } = await stage()
  const [leader, other] = await tabs(context, pages, proxy.url, 2)
  await leader.evaluate(
    (topic) => Promise.all(Array.from({ length: 30 }, (_, i) => kept.mess.topic(topic).publish(i))),
    TOPICS[0],
  )

  const pagesRead = await other.evaluate(async (topic) => {
    const read: number[][] = []
    for (let from: string | undefined, more = true; more; ) {
      const page = await kept.mess.topic(topic).history({ limit: 20, ...(from !== undefined && { from }) })
      read.push(page.messages.map(({ data }: { data: number }) => data))
      from = page.next
      more = from !== undefined
    }
    return read
  }, TOPICS[0])
  expect(pagesRead.map((page) => page.length)).toEqual([20, 10])
  expect(pagesRead.flat()).toEqual(Array.from({ length: 30 }, (_, i) => i))

  await listen(other)
  await eventually(() => status(other), 'online')
  await server.kill()
  await eventually(() => status(other), 'offline')
  await server.restart()
  await eventually(() => status(other), 'online')
})

test('a leader that is stopped is taken over from, and what it does when it goes on changes nothing', {
  timeout: LONG_MS,
}, async () => {
  const { context, pages, proxy } = await stage()
  const [leader, other, third] = await tabs(context, pages, proxy.url, 3)
  for (const page of [leader, other, third]) await listen(page)
  await publish(leader, 'before', 5)
  // Published there, and perhaps not sent any more.
  await leader.evaluate((topic) => {
    for (let i = 0; i < 20; i++) kept.mess.topic(topic).publish(`late ${i}`)
  }, TOPICS[0])
  const pid = await rendererOf(leader)
  process.kill(pid, 'SIGSTOP')
  onTestFinished(() => goOn(pid))

  await publish(other, 'other', 10)
  await publish(third, 'third', 10)
  expect([await role(other), await role(third)].sort()).toEqual(['follower', 'leader'])

  goOn(pid)
  await eventually(() => role(leader), 'follower')
  await publish(leader, 'after', 5)
  const lists = await Promise.all([leader, other, third].map((page) => seen(page, 20 + 30 * TOPICS.length)))
  for (const list of lists) expect(list).toEqual(lists[0])
  expect(new Set(lists[0]).size).toBe(lists[0]?.length)
  await eventually(() => leader.evaluate(() => kept.mess.status.unsent), 0)
})

test('a page that is frozen lets go of the lead, and comes back as one of the others', {
  timeout: LONG_MS,
}, async () => {
  const { context, pages, proxy } = await stage()
  const [leader, other] = await tabs(context, pages, proxy.url, 2)
  for (const page of [leader, other]) await listen(page)

  // Headless Chromium freezes no page that is to be seen, so the page is told as a frozen one is.
  await leader.evaluate(() => void document.dispatchEvent(new Event('freeze')))
  await publish(other, 'meanwhile', 3)
  expect(await role(other)).toBe('leader')

  await leader.evaluate(() => void document.dispatchEvent(new Event('resume')))
  await publish(leader, 'again', 3)
  const lists = await Promise.all([leader, other].map((page) => seen(page, 6 * TOPICS.length)))
  expect(lists[0]).toEqual(lists[1])
  expect(await role(leader)).toBe('follower')
})

test('a tab that only publishes says how the server is reached', { timeout: LONG_MS }, async () => {
  const { context, pages, proxy } = await stage()
  const [leader] = await tabs(context, pages, proxy.url, 1)
  await listen(leader)
  await eventually(() => status(leader), 'online')

  const other = await open(context, pages, proxy.url)
  await publish(other, 'hello', 1)

  await eventually(() => status(other), 'online')
})

test('a tab that led before subscribes to nothing that only the others want', { timeout: LONG_MS }, async () => {
  const { context, pages, proxy } = await stage()
  const [before, other] = await tabs(context, pages, proxy.url, 2)
  await listen(other)
  await publish(before, 'before', 1)
  await before.evaluate(() => {
    kept.asked = []
    const { postMessage } = BroadcastChannel.prototype
    BroadcastChannel.prototype.postMessage = function (message) {
      if (message.kind === 'up') kept.asked.push(JSON.parse(message.body.text).method)
      postMessage.call(this, message)
    }
    document.dispatchEvent(new Event('freeze'))
  })
  await eventually(() => role(other), 'leader')

  await before.evaluate(() => void document.dispatchEvent(new Event('resume')))
  // Whatever is subscribed is so before a history is asked for.
  for (const topic of TOPICS) await before.evaluate((topic) => kept.mess.topic(topic).history(), topic)

  const asked: string[] = await before.evaluate(() => kept.asked)
  expect(asked.filter((method) => method === 'history')).toHaveLength(TOPICS.length)
  expect(asked).not.toContain('subscribe')
})

async function stage() {
  const pages = await site()
  const server = await runServer({ ALLOWED_ORIGINS: pages.url })
  onTestFinished(() => server.end())
  const proxy = await runProxy(server.port)
  onTestFinished(() => proxy.end())
  const context = await browser()
  return { pages, server, proxy, context }
}

/** The first of them leads. */
async function tabs(
  context: BrowserContext,
  pages: Site,
  url: string,
  count: number,
): Promise<Page[] & [Page, Page, Page]> {
  const all: Page[] = []
  for (let i = 0; i < count; i++) {
    const page = await open(context, pages, url)
    if (i === 0) await eventually(() => role(page), 'leader')
    all.push(page)
  }
  return all as Page[] & [Page, Page, Page]
}

async function open(context: BrowserContext, pages: Site, url: string): Promise<Page> {
  const page = await tab(context, pages)
  await loaded(page)
  await page.evaluate((url) => {
    kept.mess = sdk.createMess({
      url,
      user: 'ana',
      token: async () => (await fetch('/token/ana')).text(),
      reconnect: { minMs: 20, maxMs: 200 },
    })
    kept.errors = []
    kept.mess.on('error', (error: Error) => void kept.errors.push(String(error)))
    kept.seen = []
    return kept.mess.outbox.list()
  }, url)
  return page
}

function listen(page: Page): Promise<unknown> {
  return page.evaluate(
    (topics) =>
      Promise.all(
        topics.map(
          (topic) =>
            kept.mess
              .topic(topic)
              .subscribe(
                ({ data, offset }: { data: string; offset: number }) =>
                  void kept.seen.push(`${topic} ${offset}: ${data}`),
                { from: 'start' },
              ).ready,
        ),
      ),
    TOPICS,
  )
}

/** Resolves when all are acked. */
function publish(page: Page, name: string, count: number): Promise<unknown> {
  return page.evaluate(
    ([topics, name, count]) =>
      Promise.all(
        topics.flatMap((topic) =>
          Array.from({ length: count }, (_, i) => kept.mess.topic(topic).publish(`${name} ${i}`)),
        ),
      ).then(() => undefined),
    [TOPICS, name, count] as const,
  )
}

/** Topic by topic, in the order in which they came, once there are so many. */
async function seen(page: Page, count: number): Promise<string[]> {
  await eventually(() => page.evaluate(() => kept.seen.length), count)
  const list: string[] = await page.evaluate(() => kept.seen)
  return TOPICS.flatMap((topic) => list.filter((entry) => entry.startsWith(topic)))
}

const role = (page: Page): Promise<string> => page.evaluate(() => kept.mess.status.role)
const status = (page: Page): Promise<string> => page.evaluate(() => kept.mess.status.connection)

/** The process of a page: that renderer of its browser which burns time while the page does. */
async function rendererOf(page: Page): Promise<number> {
  const client = await (page.context().browser() as Browser).newBrowserCDPSession()
  const times = async (): Promise<Map<number, number>> => {
    const { processInfo } = await client.send('SystemInfo.getProcessInfo')
    return new Map(processInfo.flatMap(({ type, id, cpuTime }) => (type === 'renderer' ? [[id, cpuTime]] : [])))
  }
  const before = await times()
  await page.evaluate(() => {
    for (const until = performance.now() + 600; performance.now() < until; );
  })
  const burnt = [...(await times())].map(([pid, time]) => ({ pid, time: time - (before.get(pid) ?? 0) }))
  return (burnt.sort((a, b) => b.time - a.time)[0] as { pid: number }).pid
}

function goOn(pid: number): void {
  try {
    process.kill(pid, 'SIGCONT')
  } catch {}
}
