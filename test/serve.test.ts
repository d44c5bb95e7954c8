import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { startServer } from '../scripts/serve.mjs'

// Counts requests in its object, and tells a binding. What is under test is the machine around a Worker, not ours.
const WORKER = `
import { DurableObject } from 'cloudflare:workers'
export class TopicObject extends DurableObject {
  async fetch() {
    this.ctx.storage.sql.exec('create table if not exists requests (id integer primary key)')
    this.ctx.storage.sql.exec('insert into requests default values')
    return Response.json(this.ctx.storage.sql.exec('select count(*) as count from requests').one())
  }
}
export default {
  fetch(request, env) {
    if (new URL(request.url).pathname === '/binding') return new Response(env.TOKEN_ISSUER)
    return env.TOPICS.get(env.TOPICS.idFromName('one')).fetch(request)
  },
}`

test('what was written survives SIGKILL, and the server comes back on its port', async () => {
  const options = { dataDir: folder(), bundle: bundle(WORKER) }
  const first = await started(options)
  expect(await count(first.url)).toBe(1)

  await first.kill()
  const second = await started({ ...options, port: first.port })

  expect(second.url).toBe(first.url)
  expect(await count(second.url)).toBe(2)
})

test('a server that was stopped has ended, and its data is there', async () => {
  const options = { dataDir: folder(), bundle: bundle(WORKER) }
  const first = await started(options)
  await count(first.url)

  await first.stop()

  await expect(fetch(first.url)).rejects.toThrow()
  expect(await count((await started(options)).url)).toBe(2)
})

test('two servers on one machine know nothing of each other', async () => {
  const worker = bundle(WORKER)
  const [one, other] = await Promise.all([
    started({ dataDir: folder(), bundle: worker, vars: { TOKEN_ISSUER: 'one "quoted"' } }),
    started({ dataDir: folder(), bundle: worker, vars: { TOKEN_ISSUER: 'other' } }),
  ])

  expect([await count(one.url), await count(other.url)]).toEqual([1, 1])
  expect(await (await fetch(`${one.url}/binding`)).text()).toBe('one "quoted"')
  expect(await (await fetch(`${other.url}/binding`)).text()).toBe('other')
})

test('a server that does not start says why', async () => {
  const broken = startServer({ dataDir: folder(), bundle: bundle('export default {') })

  await expect(broken).rejects.toThrow(/workerd did not start: .*SyntaxError/s)
})

test('a server that is killed by somebody else is known to have ended', async () => {
  const server = await started({ dataDir: folder(), bundle: bundle(WORKER) })

  process.kill(server.pid, 'SIGKILL')

  expect((await server.exited).stderr).toContain('SIGKILL')
})

async function started(options: Parameters<typeof startServer>[0]): ReturnType<typeof startServer> {
  const server = await startServer(options)
  onTestFinished(() => server.kill())
  return server
}

async function count(url: string): Promise<number> {
  const { count } = (await (await fetch(url)).json()) as { count: number }
  return count
}

function bundle(worker: string): string {
  const dir = folder()
  writeFileSync(join(dir, 'index.js'), worker)
  return dir
}

const folder = (): string => mkdtempSync(join(tmpdir(), 'messkit-serve-'))
