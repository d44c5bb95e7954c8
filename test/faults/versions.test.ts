import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { createMess, type Topic } from '@messkit/sdk'
import { type Frame, PROTOCOL } from '@messkit/sdk/protocol'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { type Note, Reader, Writer } from '../support/actors.ts'
import { check } from '../support/checker/check.ts'
import type { HistoryEvent } from '../support/checker/history.ts'
import { readLog } from '../support/final-log.ts'
import { runProxy } from '../support/proxy.ts'
import { generator } from '../support/random.ts'
import { RawLink } from '../support/raw-link.ts'
import { makeToken, runServer, type TestServer } from '../support/server.ts'

/** Built by scripts/keep-client.mjs, one for each version that is still in use. */
const CLIENTS = join(import.meta.dirname, 'clients')
const ROUNDS = 6

let server: TestServer
beforeAll(async () => {
  server = await runServer()
})
afterAll(() => server.end())

describe('an older client', () => {
  const versions = readdirSync(CLIENTS).map((file) => file.replace(/\.mjs$/, ''))

  test.each(versions)(
    'of version %s and the newest read what the other wrote, across restarts and broken links',
    {
      timeout: 300_000,
    },
    async (version) => {
      const random = generator(`versions ${version}`)
      const name = `versions/${version}`
      const older = ((await import(join(CLIENTS, `${version}.mjs`))) as { createMess: typeof createMess }).createMess
      const proxy = await runProxy(server.port)
      onTestFinished(() => proxy.end())
      const open = (create: typeof createMess): Topic<Note> => {
        const mess = create({ url: proxy.url, token: () => makeToken(), reconnect: { minMs: 1, maxMs: 20 } })
        onTestFinished(async () => void (await mess.close()))
        return mess.topic<Note>(name)
      }
      const history: HistoryEvent[] = []
      const both = [older, createMess]
      const writers = both.map((create, i) => new Writer(open(create), `writer ${i}`, history))
      const readers = await Promise.all(
        both.map((create, i) => Reader.start(open(create), history, { name: `reader ${i}` })),
      )

      for (let round = 0; round < ROUNDS; round++) {
        for (const writer of writers) writer.keepInFlight(random.pick([1, 20, 100]))
        await random.pick(writers).ackedMore(random.below(100))
        if (round % 2 === 0) proxy.cut('reset')
        else {
          await server.kill()
          await server.restart()
        }
        // Each goes on from a position that the other has come to.
        const [one, other] = readers as [Reader, Reader]
        one.stop()
        const create = both[round % 2] as typeof createMess
        const options = { name: one.name, resumed: true, ...(one.position && { from: one.position }) }
        readers.splice(0, 2, other, new Reader(open(create), history, options))
      }
      await Promise.all(writers.map((writer) => writer.finish()))
      const logs = [await readLog(open(createMess)), await readLog(open(older))] as const
      await Promise.all(readers.map((reader) => reader.reached(logs[0].head)))

      const verdict = check(history, { logs, subscriptions: readers.map((reader) => reader.name) })
      expect([...verdict.violations], random.seed).toEqual([])
      expect(verdict.counts.get('acked'), random.seed).toBe(verdict.counts.get('publish'))
    },
  )
})

describe('a newer client', () => {
  const newer = { versions: [PROTOCOL.current + 1, PROTOCOL.current], client: 'messkit 9', mood: 'good' }

  test('that speaks our version as well is answered in it, and what we do not know of its frames is passed over', async () => {
    const link = await greeted(newer)
    expect(link.frames[0]).toMatchObject({ result: { version: PROTOCOL.current } })

    const subscribed = await link.ask('subscribe', {
      subscription: 1,
      from: 'start',
      window: 1000,
      only: { keys: ['a'] },
    })
    const again = { after: 0, first: 1, expect: { head: 0 }, all: true }
    const published = await link.publish('publisher', again, ['"hello"'])

    expect(subscribed).toMatchObject({ result: { head: 0 } })
    expect(published).toMatchObject({ result: { fates: [{ fate: 'stored', first: 1, count: 1, offset: 0 }] } })
    expect(await link.next(({ method }) => method === 'deliver')).toMatchObject({ params: { messages: ['hello'] } })
  })

  test('that calls what we do not have is told so, and its link stays', async () => {
    const link = await greeted(newer)

    const answer = await link.ask('presence', { subscription: 1 })
    link.tell('beacon', { at: 1 })

    expect(codeOf(answer)).toBe('unknown_method')
    expect(await link.ask('history', { limit: 1, reverse: true })).toMatchObject({ result: {} })
  })

  test('that shares no version with us is told which we speak, and not to come back', async () => {
    const link = await greeted({ versions: [PROTOCOL.current + 1] })

    expect(codeOf(link.frames[0])).toBe('version_unsupported')
    expect(link.frames[0]?.error?.message).toContain(`${PROTOCOL.oldest} to ${PROTOCOL.current}`)
    expect(await link.closed).toBe(4500)
  })

  let lastTopic = 0
  async function greeted(hello: object): Promise<RawLink> {
    const link = await RawLink.open(server.url, `versions/newer/${++lastTopic}`, await makeToken(), hello)
    onTestFinished(() => link.close())
    return link
  }
})

const codeOf = (frame: Frame | undefined) => (frame?.error?.data as { code: string } | undefined)?.code
