import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, onTestFinished, test } from 'vitest'
import { bearer, upgrade } from '../hostile/case.ts'
import { Wire } from '../hostile/wire.ts'
import { makeToken, runServer, type TestServer } from '../support/server.ts'

const COUNT = 10_000
/** Why somebody is turned away here: no token, a bad one, one that has expired; no right. */
const REASONS = 3
/** Connections at the same time. */
const WIDTH = 40

const POLICY = [
  // Who is not let in is not counted either.
  'acl allow all connect server limit-connections=5 limit-connections-per-address=5',
  'acl allow user:ana all topic name="mine/#" from=all',
].join('\n')

/** A server that has what it has whoever comes: its directory with the policy, one topic, who counts its user. */
async function running(): Promise<TestServer> {
  const server = await runServer({ POLICY, ADDRESS_HEADER: 'peer' })
  onTestFinished(() => server.end())
  expect(await answered(server, 'mine/own', await makeToken())).toBe('no answer')
  return server
}

/** The code with which a connection is ended. */
async function answered(server: TestServer, topic: string, token?: string): Promise<string> {
  const wire = await Wire.connect(server.port)
  const protocols = token === undefined ? 'messkit.1' : `messkit.1, ${bearer(token)}`
  wire.write(upgrade({ path: `/v1/topics/${topic}`, protocols: [protocols] }))
  const reply = await wire.response()
  // Whoever is let in is told nothing before they have said hello.
  const frame = reply?.status === 101 && !topic.startsWith('mine/') ? await wire.frame() : undefined
  wire.destroy()
  return /"code":"(\w+)"/.exec(String(frame?.body ?? reply?.body))?.[1] ?? 'no answer'
}

async function times(count: number, ask: (i: number) => Promise<string>): Promise<Record<string, number>> {
  const codes: Record<string, number> = {}
  let next = 0
  const worker = async (): Promise<void> => {
    for (let i = next++; i < count; i = next++) {
      const code = await ask(i)
      codes[code] = (codes[code] ?? 0) + 1
    }
  }
  await Promise.all(Array.from({ length: WIDTH }, worker))
  return codes
}

/** Denials are counted, by hour and reason. */
const COUNTERS = 'denial'
/** A test may begin in one hour and end in the next. */
const HOURS = 2

/** Every row of every object of every kind but the counters, as it lies on the disk once the server has ended. */
function rowsOf({ dataDir }: TestServer): Record<string, number> {
  const files = readdirSync(dataDir, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.sqlite'))
  return Object.fromEntries(
    files.sort().map((name) => {
      const database = new DatabaseSync(join(dataDir, name))
      const tables = database.prepare("select name from sqlite_master where type = 'table'").all()
      const count = (table: unknown) => Number(database.prepare(`select count(*) as n from "${table}"`).get()?.n)
      const rows = tables.map(({ name: table }) => {
        if (table !== COUNTERS) return count(table)
        expect(count(table)).toBeLessThanOrEqual(HOURS * REASONS)
        return 0
      })
      database.close()
      return [name, rows.reduce((sum, n) => sum + n, 0)]
    }),
  )
}

async function restart(server: TestServer): Promise<Record<string, number>> {
  await server.stop()
  const rows = rowsOf(server)
  await server.restart()
  return rows
}

test('ten thousand upgrades of nobody make no object and no row', { timeout: 180_000 }, async () => {
  const server = await running()
  const before = await restart(server)
  const tokens = [undefined, 'a.b.c', await makeToken({ exp: 1 }), await makeToken({ sub: undefined })]

  const codes = await times(COUNT, (i) => answered(server, `strangers/${i}`, tokens[i % tokens.length]))
  const after = await restart(server)

  expect(codes).toEqual({ token_missing: COUNT / 4, token_invalid: COUNT / 2, token_expired: COUNT / 4 })
  expect(after).toEqual(before)
  expect(Object.keys(before).filter((name) => name.includes('Topic') && !name.includes('metadata'))).toHaveLength(1)
})

test('ten thousand topics that a user may not use make no object and no row', { timeout: 180_000 }, async () => {
  const server = await running()
  const before = await restart(server)
  const token = await makeToken()

  const codes = await times(COUNT, (i) => answered(server, `denied/${i}`, token))
  const after = await restart(server)

  expect(codes).toEqual({ forbidden: COUNT })
  expect(after).toEqual(before)
})
