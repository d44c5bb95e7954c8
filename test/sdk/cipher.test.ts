import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createMess, type Mess, type MessOptions, type RefusedError } from '@messkit/sdk'
import { aesGcm, type Cipher, endToEnd } from '@messkit/sdk/cipher'
import { LIMITS } from '@messkit/sdk/protocol'
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { runProxy } from '../support/proxy.ts'
import { makeToken, runServer, type TestServer } from '../support/server.ts'
import { behaviour } from './behaviour.suite.ts'
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

/** Whatever is promised of topics is promised of those with a cipher. */
const allSealed = (mess: Mess): Mess => {
  const cipher = endToEnd(aesGcm({ keys: keys(), current: 'k1', perTopic: true }))
  return Object.assign(Object.create(mess) as Mess, {
    topic: (name: string, options: object) => mess.topic(name, { cipher, ...options }),
  })
}

behaviour({
  name: 'sealed in the process',
  client: async (options = {}) => allSealed(open(options)),
  pair: async () => {
    const mess = allSealed(open())
    return [mess, mess]
  },
  messageCount: 10_000,
  topicCount: 100,
  sealed: true,
})

behaviour({
  name: 'sealed on a server',
  async client({ retention, ...options } = {}) {
    const { url } = retention ? await ownServer({ RETENTION: JSON.stringify(retention) }) : server
    return allSealed(open({ url, token: () => makeToken(), ...options }))
  },
  pair: async () => [allSealed(connect('ana')), allSealed(connect('ana'))],
  messageCount: 5_000,
  topicCount: 30,
  sealed: true,
})

const MARKER = 'nobody-may-read-this'
const keys = () => new Map([1, 2].map((byte) => [`k${byte}`, new Uint8Array(32).fill(byte)]))

test('a server stores and forwards nothing that it can read, while two clients rotate keys', async () => {
  const said = recordSockets()
  const own = await ownServer()
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

test('a message that was refused is tried again as it was sealed', async () => {
  const said = recordSockets()
  const good = aesGcm({ keys: keys(), current: 'k1' })
  // More than a cipher may add, so that the server refuses it.
  const fat: Cipher = { ...good, seal: async () => new Uint8Array(LIMITS.messageBytes) }
  const mess = connect('ana')
  const topic = mess.topic<string>('secrets/3', { cipher: endToEnd(fat) })

  const refused = await topic.publish('hello').catch((error: RefusedError) => error)
  await expect(mess.outbox.retry((refused as RefusedError).id)).rejects.toMatchObject({ code: 'message_too_large' })

  const sent = said().match(/\["sealed\.1","k1","[^"]+"\]/g) ?? []
  expect(sent).toHaveLength(2)
  expect(new Set(sent).size).toBe(1)
})

async function ownServer(vars: Record<string, string> = {}): Promise<TestServer> {
  const own = await runServer(vars)
  onTestFinished(() => own.end())
  return own
}

async function count(topic: string): Promise<number> {
  return (await connect('bo').topic(topic).history()).messages.length
}

function connect(user: string, url = server.url): Mess {
  return open({ url, user, token: () => makeToken({ sub: user }), reconnect: { minMs: 20, maxMs: 200 } })
}

function open(options: MessOptions = {}): Mess {
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
