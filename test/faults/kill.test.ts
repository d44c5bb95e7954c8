import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { createMess, type Mess, type Topic } from '@messkit/sdk'
import { parseCursor } from '@messkit/sdk/protocol'
import { expect, onTestFinished, test } from 'vitest'
import { check, type FinalLog, type HistoryEvent } from '../support/checker.ts'
import { generator } from '../support/random.ts'
import { RawLink } from '../support/raw-link.ts'
import { makeToken, runServer, type TestServer } from '../support/server.ts'

const ROUNDS = 50
const TOPIC = 'faults/kill'

interface Note {
  readonly by: string
  readonly order: number
}

test('50 rounds of SIGKILL while publishing: what was acked is there once, where the ack said, and was delivered once, in order', {
  timeout: 180_000,
}, async () => {
  const random = generator('kill')
  const server = await runServer()
  onTestFinished(() => server.end())
  const history: HistoryEvent[] = []
  const reader = await Reader.start(client(server), history)
  const writers = ['one', 'two'].map((name) => new Writer(client(server), name, history))

  for (let round = 0; round < ROUNDS; round++) {
    for (const writer of writers) writer.keepInFlight(random.pick([1, 8, 60, 400]))
    // From before the first ack after a start to far into a stream of them.
    await random.pick(writers).ackedMore(random.pick([0, 1, 20, 200]))
    for (let turns = random.below(30); turns > 0; turns--) await new Promise(setImmediate)
    await server.kill()
    await server.restart()
  }
  await Promise.all(writers.map((writer) => writer.finish()))
  const final = await readHistory(server)
  await reader.reached(final.head)

  const verdict = check(history, final, ['reader'])
  expect([...verdict.violations], random.seed).toEqual([])
  expect(verdict.counts.acked, random.seed).toBe(verdict.counts.publish)
  for (const writer of writers) await writer.expectSameOffsetsAgain(server)
  await server.kill()
  expect(readFile(server), random.seed).toEqual(final)
})

function client(server: TestServer): Mess {
  const mess = createMess({ url: server.url, token: () => makeToken(), reconnect: { minMs: 5, maxMs: 50 } })
  onTestFinished(async () => void (await mess.close()))
  return mess
}

/** Publishes whenever an ack comes, so that so many messages are always on their way. */
class Writer {
  readonly #topic: Topic<Note>
  readonly #name: string
  readonly #history: HistoryEvent[]
  readonly #acked = new Map<number, number | undefined>()
  #publisher = ''
  #order = 0
  #inFlight = 0
  #wanted = 0
  #waiting: { readonly acked: number; readonly resolve: () => void } | undefined
  #failed: unknown

  constructor(mess: Mess, name: string, history: HistoryEvent[]) {
    this.#topic = mess.topic<Note>(TOPIC)
    this.#name = name
    this.#history = history
  }

  keepInFlight(count: number): void {
    this.#wanted = count
    this.#fill()
  }

  ackedMore(count: number): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting = { acked: this.#acked.size + count, resolve }
      this.#tell()
    })
  }

  async finish(): Promise<void> {
    this.#wanted = 0
    await this.ackedMore(this.#inFlight)
    expect(this.#failed).toBeUndefined()
  }

  /** Messages that arrive once more, long after, are recognised and told where they have been all the time. */
  async expectSameOffsetsAgain(server: TestServer): Promise<void> {
    const link = await RawLink.open(server.url, TOPIC, await makeToken())
    const first = Math.max(1, this.#order - 999)
    const orders = Array.from({ length: this.#order - first + 1 }, (_, i) => first + i)
    const lines = orders.map((order) => JSON.stringify({ by: this.#name, order }))

    const { result } = await link.publish(this.#publisher, { after: first - 1, first }, lines)

    const { fates } = result as { fates: { fate: string; first: number; count: number; offset: number }[] }
    expect(new Set(fates.map(({ fate }) => fate))).toEqual(new Set(['duplicate']))
    const offsets = fates.flatMap((fate) => Array.from({ length: fate.count }, (_, i) => fate.offset + i))
    expect(offsets).toEqual(orders.map((order) => this.#acked.get(order)))
    link.close()
  }

  #fill(): void {
    while (this.#inFlight < this.#wanted) this.#publish()
  }

  #publish(): void {
    const order = ++this.#order
    this.#inFlight++
    const receipt = this.#topic.publish({ by: this.#name, order })
    const { id } = receipt
    this.#publisher = id.slice(0, id.lastIndexOf('-'))
    this.#history.push({ e: 'publish', id, publisher: this.#name, order })
    receipt.then(
      ({ offset, cursor, duplicate }) => {
        this.#inFlight--
        this.#acked.set(order, offset)
        this.#history.push({ e: 'acked', id, epoch: parseCursor(cursor)?.epoch ?? '', offset, duplicate })
        this.#tell()
        this.#fill()
      },
      (error: unknown) => {
        this.#failed = error
        this.#waiting?.resolve()
      },
    )
  }

  #tell(): void {
    if (this.#waiting && this.#acked.size >= this.#waiting.acked) this.#waiting.resolve()
  }
}

/** A subscriber that stays subscribed through everything. */
class Reader {
  #next = 0
  #waiting: { readonly next: number; readonly resolve: () => void } | undefined

  static async start(mess: Mess, history: HistoryEvent[]): Promise<Reader> {
    const reader = new Reader()
    const sub = 'reader'
    const subscription = mess.topic<Note>(TOPIC).subscribe(
      ({ id, offset, cursor }) => {
        history.push(
          { e: 'deliver', sub, epoch: parseCursor(cursor)?.epoch ?? '', offset, id },
          { e: 'handled', sub, offset },
        )
        reader.#next = offset + 1
        reader.#tell()
      },
      { from: 'start', onGap: (gap) => void history.push({ e: 'gap', sub, epoch: '', ...gap }) },
    )
    const { epoch = '', offset = -1 } = parseCursor((await subscription.ready).cursor) ?? {}
    history.push({ e: 'start', sub, epoch, next: offset, resumed: false })
    return reader
  }

  reached(next: number): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting = { next, resolve }
      this.#tell()
    })
  }

  #tell(): void {
    if (this.#waiting && this.#next >= this.#waiting.next) this.#waiting.resolve()
  }
}

/** The log as a client sees it that was never there. */
async function readHistory(server: TestServer): Promise<FinalLog> {
  const topic = client(server).topic<Note>(TOPIC)
  const messages: { offset: number; id: string }[] = []
  let page = await topic.history({ limit: 1_000 })
  for (;;) {
    messages.push(...page.messages.map(({ offset, id }) => ({ offset, id })))
    if (page.next === undefined) break
    page = await topic.history({ limit: 1_000, from: page.next })
  }
  const epoch = parseCursor((await topic.history({ reverse: true, limit: 1 })).messages[0]?.cursor)?.epoch ?? ''
  return { epoch, floor: 0, head: (messages.at(-1)?.offset ?? -1) + 1, messages }
}

/** The log as it lies on the disk, without any code of ours. */
function readFile({ dataDir }: TestServer): FinalLog {
  const [file] = readdirSync(dataDir, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.sqlite'))
  const database = new DatabaseSync(join(dataDir, file ?? ''))
  const { text } = database.prepare('select text from fact where bucket = -2').get() as { text: string }
  const rows = database.prepare('select first, next, runs, body from chunk order by first').all() as unknown as Row[]
  database.close()
  const messages = rows.flatMap(({ first, runs }) => idsOf(runs).map((id, i) => ({ offset: first + i, id })))
  expect(rows.reduce((sum, { body }) => sum + body.split(',\n').length, 0)).toBe(messages.length)
  const { epoch } = JSON.parse(text) as { epoch: string }
  return { epoch, floor: 0, head: rows.at(-1)?.next ?? 0, messages }
}

interface Row {
  readonly first: number
  readonly next: number
  readonly runs: string
  readonly body: string
}

function idsOf(runs: string): string[] {
  const list = JSON.parse(`[${runs}]`) as [publisher: string, first: number, count: number][]
  return list.flatMap(([publisher, first, count]) =>
    Array.from({ length: count }, (_, i) => `${publisher}-${first + i}`),
  )
}
