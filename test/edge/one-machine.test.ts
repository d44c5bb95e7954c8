import { expect, onTestFinished, test } from 'vitest'
import { bearer, upgrade } from '../hostile/case.ts'
import { Wire } from '../hostile/wire.ts'
import { makeToken, runServer, type TestServer } from '../support/server.ts'

/** Stand-alone workerd, which tells a Worker who holds the other end of a connection. */
async function started(vars: Record<string, string>): Promise<TestServer> {
  const server = await runServer(vars)
  onTestFinished(() => server.end())
  return server
}

/** Whoever is let in may say hello. */
async function open(
  { port }: TestServer,
  topic: string,
  headers: Record<string, string> = {},
): Promise<{ wire: Wire; answer: string }> {
  const wire = await Wire.connect(port)
  onTestFinished(() => wire.destroy())
  const protocols = [`messkit.1, ${bearer(await makeToken())}`]
  const more = Object.entries(headers).map(([name, value]) => `${name}: ${value}`)
  wire.write(upgrade({ path: `/v1/topics/${topic}`, protocols, headers: more }))
  await wire.response()
  wire.text('{"jsonrpc":"2.0","id":1,"method":"hello","params":{"versions":[1]}}')
  const frame = await wire.frame()
  return { wire, answer: /"code":"(\w+)"/.exec(String(frame?.body))?.[1] ?? 'in' }
}

const FORGED = {
  'cf-connecting-ip': '10.0.0.1',
  'x-forwarded-for': '10.0.0.1',
  'x-real-ip': '10.0.0.1',
  forwarded: 'for=10.0.0.1',
  peer: '10.0.0.1',
  'cf-blob': '{"clientIp":"10.0.0.1:1"}',
}

const POLICY = [
  'acl deny all all topic name=not-from-here network=127.0.0.0/8',
  'acl allow all all topic name=from-here network=127.0.0.1',
  'acl allow all all topic name=from-ten network=10.0.0.0/8',
  'acl allow all all topic name=not-from-here',
].join('\n')

test('the peer is the other end of the connection, and no header makes it another', async () => {
  const server = await started({ POLICY, ADDRESS_HEADER: 'peer' })

  for (const headers of [{}, FORGED]) {
    const answers = await Promise.all(
      ['from-here', 'from-ten', 'not-from-here'].map(async (topic) => (await open(server, topic, headers)).answer),
    )
    expect(answers).toEqual(['in', 'forbidden', 'forbidden'])
  }
})

test('without a source there is no address, whatever headers say', async () => {
  const server = await started({ POLICY })

  const answers = await Promise.all(
    ['from-here', 'from-ten', 'not-from-here'].map(async (topic) => (await open(server, topic, FORGED)).answer),
  )

  expect(answers).toEqual(['forbidden', 'forbidden', 'forbidden'])
})

test('a server that was killed lets its users in again, whatever it believed of them', {
  timeout: 90_000,
}, async () => {
  const server = await started({
    POLICY: 'acl allow all connect server limit-connections=1\nacl allow all all topic',
  })
  const first = await open(server, 'a')
  const second = await open(server, 'b')
  expect([first.answer, second.answer]).toEqual(['in', 'limit_reached'])

  await server.kill()
  await server.restart()

  // A place that was taken just before is believed for a while: its connection might be on its way.
  await expect.poll(async () => (await open(server, 'c')).answer, { timeout: 60_000, interval: 500 }).toBe('in')
  expect((await open(server, 'd')).answer).toBe('limit_reached')
})
