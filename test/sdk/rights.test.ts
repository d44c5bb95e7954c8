import { createMess, type Mess, type MessError, type MessOptions, type OutboxEntry } from '@messkit/sdk'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { runProxy } from '../support/proxy.ts'
import { makeToken, runServer, type TestServer } from '../support/server.ts'

/** Rights that change while a client is away, and while it is there, as its user meets them. */

let server: TestServer
beforeAll(async () => {
  server = await runServer({
    ADMINS: 'root',
    POLICY: 'acl allow user:owner all all from=all\nacl allow user:ana all topic',
  })
})
afterAll(() => server.end())

let topics = 0
const newTopic = () => `rights/${++topics}`

test('what was written offline is judged when it arrives: refused, set aside, and nothing behind it is held up', async () => {
  const [proxy, name] = [await runProxy(server.port), newTopic()]
  onTestFinished(() => proxy.end())
  const { mess } = client(proxy.url, 'ana')
  const topic = mess.topic<string>(name)
  await topic.publish('before')
  proxy.refusing = true
  proxy.cut('reset')
  const refused: OutboxEntry[] = []
  mess.on('refused', (entry) => refused.push(entry))
  const offline = topic.publish('offline')
  const outcome = offline.then(
    () => 'stored',
    (error: MessError) => error.code,
  )
  await setAccess(name, 'acl deny user:ana publish topic')
  proxy.refusing = false

  expect(await outcome).toBe('forbidden')
  expect(await mess.outbox.list()).toMatchObject([{ state: 'refused', topic: name }])
  await setAccess(name, '')
  expect(await topic.publish('after')).toMatchObject({ duplicate: false })
  expect(await read(name)).toEqual(['before', 'after'])
  expect(await mess.outbox.retry(offline.id)).toMatchObject({ duplicate: false })
  expect(await read(name)).toEqual(['before', 'after', 'offline'])
})

test('who is shut out altogether is told so, and keeps what they wrote', async () => {
  const name = newTopic()
  const { mess, errors } = client(server.url, 'ana')
  await mess.topic<string>(name).publish('before')
  await setAccess(name, 'acl deny user:ana all topic')

  const { id } = mess.topic<string>(name).publish('kept')

  await eventually(() => expect(mess.status).toMatchObject({ connection: 'denied', unsent: 1, refused: 0 }))
  expect(errors.map(({ code }) => code)).toContain('forbidden')
  expect(await mess.outbox.list()).toMatchObject([{ id, topic: name }])
  expect(await read(name)).toEqual(['before'])
})

// ---- helpers

function client(url: string, sub: string, options: MessOptions = {}): { mess: Mess; errors: MessError[] } {
  const reconnect = { minMs: 10, maxMs: 100 }
  const mess = createMess({ url, token: () => makeToken({ sub }), reconnect, ...options })
  const errors: MessError[] = []
  mess.on('error', (error) => errors.push(error))
  onTestFinished(async () => void (await mess.close()))
  return { mess, errors }
}

async function setAccess(topic: string, rules: string): Promise<void> {
  const headers = { authorization: `Bearer ${await makeToken({ sub: 'root' })}` }
  const address = `${server.url}/v1/admin/access/topics/${topic}`
  const { version } = (await (await fetch(address, { headers })).json()) as { version: number }
  const body = JSON.stringify({ rules, ifVersion: version })
  const done = await fetch(address, { method: 'PUT', headers, body })
  if (!done.ok) throw new Error(await done.text())
}

async function read(topic: string): Promise<string[]> {
  const { messages } = await client(server.url, 'owner').mess.topic<string>(topic).history()
  return messages.map(({ data }) => data)
}
