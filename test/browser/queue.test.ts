import { readFileSync } from 'node:fs'
import { createMess, type Mess } from '@messkit/sdk'
import { createQueue, type Job, type Queue } from '@messkit/sdk/queue'
import type { BrowserContext, Page } from 'playwright-core'
import { expect, onTestFinished, test } from 'vitest'
import { descendantsOf } from '../support/processes.ts'
import { makeToken, runServer, type TestServer } from '../support/server.ts'
import {
  browser,
  browserIn,
  browserOf,
  crash,
  eventually,
  LONG_MS,
  loaded,
  profile,
  type Site,
  site,
  tab,
} from './browser.ts'

/** Queues in real tabs: between themselves, and beside a process, on a real server. */
const NAME = 'mail/out'
const NOTHING = { ready: 0, active: 0, scheduled: 0, retrying: 0, dead: 0 }
const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i)

test('a worker in a tab and one in Node share a queue; the tab is killed in the middle, its jobs finish elsewhere, once acked', {
  timeout: LONG_MS,
}, async () => {
  const { server, pages } = await withServer()
  const queue = createQueue<number>(inNode(server), NAME)
  const folder = profile()
  const context = await browserIn(folder)
  const page = await open(context, pages, server.url)
  // Of the tab's handlers four end; so it holds twelve jobs, four of which have begun, when it dies.
  await page.evaluate(() => {
    kept.queue.work(
      (job: { data: number }) => {
        kept.begun.push(job.data)
        return job.data < 4 ? undefined : new Promise(() => {})
      },
      { concurrency: 4 },
    )
  })
  const ids = (await queue.enqueueMany(numbers(16))).map(({ id }) => id)
  await eventually(() => page.evaluate(() => kept.begun), numbers(8))
  await eventually(() => counts(queue), { ...NOTHING, active: 12 })
  const seen: Job<number>[] = []
  const worker = queue.work((job) => void seen.push(job), { concurrency: 4 })
  await queue.enqueueMany([16, 17])
  await eventually(async () => seen.map(({ data }) => data), [16, 17])

  const crashed = new Promise((resolve) => page.once('crash', resolve))
  for (const pid of renderersOf(folder)) process.kill(pid, 'SIGKILL')
  await crashed

  await eventually(async () => seen.map(({ data }) => data).sort((a, b) => a - b), numbers(18).slice(4))
  await eventually(() => counts(queue), NOTHING)
  await worker.stop()
  // Those that the tab held come a second time, with a loss and no failure; those that it had acked do not.
  for (const { id, data, attempt } of seen) {
    if (data < 16) expect([id, attempt]).toEqual([ids[data], 2])
    else expect(attempt).toBe(1)
  }
})

test('a job that was enqueued offline survives a reload, and is sent once, with its options', {
  timeout: LONG_MS,
}, async () => {
  const { server, pages } = await withServer()
  const queue = createQueue<number>(inNode(server), NAME)
  const context = await browser()
  const page = await open(context, pages, server.url)
  await page.evaluate(() => kept.queue.enqueue(0))
  await server.kill()
  const stored = await page.evaluate(async () => {
    const soon = kept.queue.enqueueMany([1, 2, 3])
    const later = kept.queue.enqueue(4, { delayMs: 3_600_000, priority: 9 })
    return Promise.all([soon.stored, later.stored])
  })
  expect(stored).toEqual([{ durability: 'disk' }, { durability: 'disk' }])

  await page.reload()
  await loaded(page)
  await client(page, server.url)
  await eventually(() => page.evaluate(() => kept.mess.status.unsent), 4)
  const listed = await page.evaluate(async () =>
    (await kept.mess.outbox.list()).map(({ topic }: { topic: string }) => topic),
  )
  expect(listed).toEqual(Array(4).fill(`../queues/${NAME}`))
  const refused = await page.evaluate(() =>
    kept.mess.forget({ unsent: 'refuse' }).catch(({ code }: { code: string }) => code),
  )
  expect(refused).toBe('unsent')
  await server.restart()

  await eventually(() => counts(queue), { ...NOTHING, ready: 4, scheduled: 1 })
  await eventually(() => page.evaluate(() => kept.mess.status.unsent), 0)
  expect((await queue.list('ready')).jobs.map(({ data }) => data)).toEqual([0, 1, 2, 3])
})

test('jobs of a tab that crashes right after they were stored are sent once, by a tab that never used the queue', {
  timeout: LONG_MS,
}, async () => {
  const { server, pages } = await withServer()
  const queue = createQueue<number>(inNode(server), NAME)
  const context = await browser()
  const other = await tab(context, pages)
  await other.evaluate(clientOnly, server.url)
  for (let round = 0; round < 5; round++) {
    const page = await open(context, pages, server.url)
    await page.evaluate(
      (from) => kept.queue.enqueueMany(Array.from({ length: 20 }, (_, i) => from + i)).stored,
      round * 20,
    )
    await crash(page)
  }

  await eventually(() => counts(queue), { ...NOTHING, ready: 100 })
  await eventually(() => other.evaluate(() => kept.mess.status.unsent), 0)
  const { jobs } = await queue.list('ready', { limit: 1_000 })
  expect(jobs.map(({ data }) => data)).toEqual(numbers(100))
})

test('two tabs without a server share a queue, which outlives the one that is its home, and both', {
  timeout: LONG_MS,
}, async () => {
  const pages = await site()
  const context = await browser()
  const [one, two] = [await open(context, pages), await open(context, pages)]
  await eventually(() => two.evaluate(() => kept.mess.status.connection), 'local')
  await two.evaluate(() => kept.queue.enqueueMany(Array.from({ length: 60 }, (_, i) => i)))
  await Promise.all([one, two].map((page) => page.evaluate(workSome, 10)))
  for (const page of [one, two]) await eventually(() => page.evaluate(() => kept.begun.length >= 10), true)
  const [home, rest] = (await role(one)) === 'leader' ? [one, two] : [two, one]
  expect(await role(home)).toBe('leader')

  const begun = (await home.evaluate(() => kept.begun)) as number[]
  await crash(home)
  await rest.evaluate(() => kept.goOn())

  await eventually(() => rest.evaluate(async () => kept.queue.counts()).then(summary), NOTHING)
  const done = (await rest.evaluate(() => kept.begun)) as number[]
  // What the home had begun and not acked is begun again, and nothing twice in one tab.
  expect(new Set([...begun, ...done])).toEqual(new Set(numbers(60)))
  expect(new Set(done).size).toBe(done.length)
  expect(await role(rest)).toBe('leader')

  await rest.evaluate(() => kept.queue.enqueueMany(['a', 'b'], { delayMs: 3_600_000 }))
  await rest.close()
  const late = await open(context, pages)
  expect(summary(await late.evaluate(() => kept.queue.counts()))).toEqual({ ...NOTHING, scheduled: 2 })
})

test('a worker on patterns finds the queues of other tabs at once, and those that lie on the disk', {
  timeout: LONG_MS,
}, async () => {
  const pages = await site()
  const context = await browser()
  const [one, two] = [await open(context, pages), await open(context, pages)]
  await one.evaluate(() => kept.queue.enqueue(0))
  const workAll = (): void => {
    kept.worker = sdk.work(kept.mess, ['*', '!low/*'], (_, queue) => void kept.begun.push(queue))
  }
  await two.evaluate(workAll)
  await eventually(() => two.evaluate(() => kept.begun), [NAME])

  await one.evaluate(() =>
    Promise.all(['low/imports', 'news'].map((name) => sdk.createQueue(kept.mess, name).enqueue(1))),
  )
  await eventually(() => two.evaluate(() => kept.begun), [NAME, 'news'])
  await Promise.all([one, two].map((page) => page.close()))
  const late = await open(context, pages)

  expect(await late.evaluate(() => sdk.queueNames(kept.mess))).toEqual(['low/imports', NAME, 'news'])
  await late.evaluate(() => sdk.createQueue(kept.mess, 'news').enqueue(2))
  await late.evaluate(workAll)
  await eventually(() => late.evaluate(() => kept.begun), ['news'])
})

test('a worker in a page that is frozen gives back what it has not begun, and takes jobs again when it is back', {
  timeout: LONG_MS,
}, async () => {
  const { server, pages } = await withServer()
  const queue = createQueue<number>(inNode(server), NAME)
  const page = await open(await browser(), pages, server.url)
  await queue.enqueueMany(numbers(8))
  await page.evaluate(workSome, 0)
  await eventually(() => counts(queue), { ...NOTHING, ready: 2, active: 6 })

  await page.evaluate(() => void document.dispatchEvent(new Event('freeze')))
  await eventually(() => counts(queue), { ...NOTHING, ready: 6, active: 2 })

  await page.evaluate(() => void document.dispatchEvent(new Event('resume')))
  await eventually(() => counts(queue), { ...NOTHING, ready: 2, active: 6 })
  await page.evaluate(() => kept.goOn())
  await eventually(() => counts(queue), NOTHING)
  expect(((await page.evaluate(() => kept.begun)) as number[]).toSorted((a, b) => a - b)).toEqual(numbers(8))
})

test.each([true, false])(
  'a worker in a page that is left gives back all it has at once (server: %s)',
  {
    timeout: LONG_MS,
  },
  async (remote) => {
    const { server, pages } = await withServer()
    const context = await browser()
    const url = remote ? server.url : undefined
    // The first one is the home of what has no server.
    const [other, page] = [await open(context, pages, url), await open(context, pages, url)]
    await page.evaluate(() => kept.queue.enqueueMany([1, 2, 3, 4]))
    await page.evaluate(workSome, 0)
    const state = () => other.evaluate(() => kept.queue.counts()).then(summary)
    await eventually(state, { ...NOTHING, active: 4 })

    await page.goto('about:blank')

    await eventually(state, { ...NOTHING, ready: 4 })
    const losses = await other.evaluate(async () =>
      (await kept.queue.list('ready')).jobs.map((job: { losses: number }) => job.losses),
    )
    expect(losses).toEqual([0, 0, 0, 0])
  },
)

// ---- helpers

async function withServer(): Promise<{ server: TestServer; pages: Site }> {
  const pages = await site()
  const server = await runServer({ ALLOWED_ORIGINS: pages.url })
  onTestFinished(() => server.end())
  return { server, pages }
}

function inNode(server: TestServer): Mess {
  const mess = createMess({ url: server.url, token: () => makeToken(), reconnect: { minMs: 10, maxMs: 100 } })
  mess.on('error', () => {}) // or the console is told of those that are meant to happen
  onTestFinished(async () => void (await mess.close()))
  return mess
}

async function open(context: BrowserContext, pages: Site, url?: string): Promise<Page> {
  const page = await tab(context, pages)
  await client(page, url)
  return page
}

/** A client without a server is one of local queues. */
async function client(page: Page, url?: string): Promise<void> {
  await page.evaluate(clientOnly, url)
  await page.evaluate((name) => {
    kept.queue = sdk.createQueue(kept.mess, name)
    kept.begun = []
  }, NAME)
}

function clientOnly(url: string | undefined): void {
  const token = async () => (await fetch('/token/ana')).text()
  kept.mess = sdk.createMess(url ? { url, user: 'ana', token, reconnect: { minMs: 20, maxMs: 200 } } : {})
  void kept.mess.outbox
}

/** Two handlers at a time, which end at once for the first so many jobs; the others end when they are told. */
function workSome(count: number): void {
  const { promise, resolve } = Promise.withResolvers<void>()
  kept.goOn = resolve
  kept.queue.work(
    (job: { data: number }) => {
      kept.begun.push(job.data)
      return kept.begun.length <= count ? undefined : promise
    },
    { concurrency: 2 },
  )
}

const role = (page: Page): Promise<string> => page.evaluate(() => kept.mess.status.role)

const summary = ({ ready, active, scheduled, retrying, dead }: typeof NOTHING) => ({
  ready,
  active,
  scheduled,
  retrying,
  dead,
})

const counts = async (queue: Queue<number>) => summary(await queue.counts())

/** The processes of the tabs of the browser that keeps its profile there. */
function renderersOf(folder: string): number[] {
  return descendantsOf(browserOf(folder)).filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('--type=renderer')
    } catch {
      return false // it ended while we looked
    }
  })
}
