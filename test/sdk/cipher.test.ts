import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createMess, type Mess } from '@messkit/sdk'
import { aesGcm, endToEnd } from '@messkit/sdk/cipher'
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { runProxy } from '../support/proxy.ts'
import { makeToken, runServer, type TestServer } from '../support/server.ts'
import { sealed } from './cipher.suite.ts'

let server: TestServer
beforeAll(async () => {
  server = await runServer()
})
afterAll(() => server.end())

sealed({
  name: 'in the process',
  pair: async () => {
    const mess = open({ user: 'ana' })
    return [mess, mess]
  },
})

sealed({ name: 'on a server', pair: async () => [connect('ana'), connect('bo')] })

const MARKER = 'nobody-may-read-this'
const keys = () => new Map([1, 2].map((byte) => [`k${byte}`, new Uint8Array(32).fill(byte)]))

test('a server stores and forwards nothing that it can read, while two clients rotate keys', async () => {
  const said = recordSockets()
  const own = await runServer()
  onTestFinished(() => own.end())
  const ring = { ana: aesGcm({ keys: keys(), current: 'k1' }), bo: aesGcm({ keys: keys(), current: 'k2' }) }
  const ana = connect('ana', own.url).topic<unknown>('secrets/1', { cipher: endToEnd(ring.ana) })
  const bo = connect('bo', own.url).topic<unknown>('secrets/1', { cipher: endToEnd(ring.bo) })
  const seen: unknown[] = []
  await bo.subscribe(({ data, by }) => void seen.push([data, by])).ready

  await ana.publish({ text: MARKER })
  await bo.publish([MARKER])
  ring.ana.keyId = 'k2'
  await ana.publish(`${MARKER} again`)

  await eventually(() => expect(seen).toHaveLength(3))
  expect(seen).toEqual([
    [{ text: MARKER }, 'ana'],
    [[MARKER], 'bo'],
    [`${MARKER} again`, 'ana'],
  ])
  expect((await ana.history()).messages.map(({ data }) => data)).toEqual(seen.map((one) => (one as unknown[])[0]))
  await own.kill()
  const disk = contents(own.dataDir)
  expect(disk).toContain('sealed.1')
  expect(disk).not.toContain(MARKER)
  expect(said()).toContain('sealed.1')
  expect(said()).not.toContain(MARKER)
})

test('a message is sealed once: what is sent again are the same bytes, and a subscription goes on over a break', async () => {
  const said = recordSockets()
  const proxy = await runProxy(server.port)
  onTestFinished(() => proxy.end())
  const cipher = endToEnd(aesGcm({ keys: keys(), current: 'k1' }))
  const topic = connect('ana', proxy.url).topic<string>('secrets/2', { cipher })
  const seen: string[] = []
  const subscription = topic.subscribe(({ data }) => void seen.push(data))
  await subscription.ready
  await topic.publish('first')
  proxy.down.blackHole = true

  const receipt = topic.publish('second')
  await eventually(async () => expect(await count('secrets/2')).toBe(2))
  proxy.down.blackHole = false
  proxy.cut('reset')

  expect(await receipt).toMatchObject({ duplicate: true, offset: 1 })
  await eventually(() => expect(seen).toEqual(['first', 'second']))
  const sent = said().match(/\["sealed\.1","k1","[^"]+"\]/g) ?? []
  expect(sent.length).toBeGreaterThanOrEqual(3)
  expect(new Set(sent).size).toBe(2)
})

async function count(topic: string): Promise<number> {
  return (await connect('bo').topic(topic).history()).messages.length
}

function connect(user: string, url = server.url): Mess {
  return open({ url, user, token: () => makeToken({ sub: user }), reconnect: { minMs: 20, maxMs: 200 } })
}

function open(options: Parameters<typeof createMess>[0]): Mess {
  const mess = createMess(options)
  mess.on('error', () => {}) // or the console is told of those that are meant to happen
  onTestFinished(async () => void (await mess.close()))
  return mess
}

/** Everything that goes through sockets from now on, as text, a piece a line. */
function recordSockets(): () => string {
  const pieces: string[] = []
  class Recorded extends WebSocket {
    constructor(...args: ConstructorParameters<typeof WebSocket>) {
      super(...args)
      this.addEventListener('message', ({ data }) => void pieces.push(String(data)))
    }
    override send(data: string): void {
      pieces.push(data)
      super.send(data)
    }
  }
  vi.stubGlobal('WebSocket', Recorded)
  onTestFinished(() => void vi.unstubAllGlobals())
  return () => pieces.join('\n')
}

/** All that lies in a folder, byte for byte. */
function contents(folder: string): string {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1'))
    .join('\n')
}
