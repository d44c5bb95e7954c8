// Other runtimes were tried by hand, each with one bundled file: Deno 2.9.6 (`deno run -A`) and Bun 1.4.5, both from npm. Topics of the
// process, a server, a refused token, no server, and a server that is killed and comes back went as in Node, and both ended by themselves.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runInNewContext } from 'node:vm'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { startServer } from '../../scripts/serve.mjs'
import { eventually } from '../support/eventually.ts'
import { runProxy } from '../support/proxy.ts'
import { makeToken, runServer, type TestServer } from '../support/server.ts'

const ENTRIES = ['@messkit/sdk', '@messkit/sdk/remote']

let server: TestServer
let token: string
beforeAll(async () => {
  server = await runServer()
  token = await makeToken()
})
afterAll(() => server.end())

describe.each(ENTRIES)('%s', (entry) => {
  test('can be imported, and a client be made, where there is nothing but the language', async () => {
    const file = await bundle(`export { createMess } from '${entry}'`, { format: 'iife', globalName: 'messkit' })
    const make = entry.endsWith('remote') ? "{ url: 'https://mess.example.com', token: () => '' }" : ''

    const text = runInNewContext(`${readFileSync(file, 'utf8')}; messkit.createMess(${make}).topic('x').name`, {
      // An address cannot be judged without it.
      URL,
    })

    expect(text).toBe('x')
  })

  test('leaves nothing open in Node, nor does a client that is not used', async () => {
    const { output } = await runInNode(`
      const before = process.getActiveResourcesInfo().length
      const { createMess } = await import('${entry}')
      const mess = createMess({ url: '${server.url}', token: () => 'never asked' })
      mess.topic('x')
      mess.on('status', () => {})
      mess.status
      console.log(process.getActiveResourcesInfo().length - before)
    `)

    expect(output).toBe('0')
  })

  test('leaves nothing open in Node once its client is closed', async () => {
    const { output } = await runInNode(`
      import { createMess } from '${entry}'
      const mess = createMess({ url: '${server.url}', token: () => '${token}' })
      const topic = mess.topic('imports/node')
      const subscription = topic.subscribe(() => {})
      await subscription.ready
      const { duplicate } = await topic.publish('hello', { waitMs: 600_000 })
      await mess.close()
      console.log(duplicate)
    `)

    expect(output).toBe('false')
  })

  test('leaves nothing open in Node once its client is closed, also while there is no server', async () => {
    const { output } = await runInNode(`
      import { createMess } from '${entry}'
      const mess = createMess({ url: 'http://127.0.0.1:9', token: () => '${token}' })
      const receipt = mess.topic('imports/node').publish('hello')
      await new Promise((resolve) => mess.on('status', ({ connection }) => connection === 'offline' && resolve()))
      console.log((await mess.close()).unsent)
    `)

    expect(output).toBe('1')
  })

  test('works at the top of a Worker, and inside of one', { timeout: 60_000 }, async () => {
    const worker = await bundle(
      `
      import { DurableObject } from 'cloudflare:workers'
      import { createMess } from '${entry}'
      export class TopicObject extends DurableObject {}
      const unused = createMess({ url: '${server.url}', token: () => '' })
      unused.topic('x')
      export default {
        async fetch() {
          const mess = createMess({ url: '${server.url}', token: () => '${token}' })
          const topic = mess.topic('imports/worker/${entry.length}')
          const seen = []
          const both = new Promise((resolve) => topic.subscribe(({ data }) => seen.push(data) === 2 && resolve(), { from: 'start' }))
          const acks = await Promise.all([topic.publish({ number: 1 }), topic.publish({ number: 2 })])
          await both
          const { messages } = await topic.history()
          await mess.close()
          return Response.json({ offsets: acks.map(({ offset }) => offset), seen, stored: messages.map(({ id }) => id).length })
        },
      }`,
      { external: ['cloudflare:workers'], outfile: 'index.js' },
    )
    const home = await startServer({ dataDir: folder(), bundle: join(worker, '..'), privateNetwork: true })
    onTestFinished(() => home.kill())

    const response = await fetch(home.url)

    expect(await response.text(), home.stderr()).toBe(
      JSON.stringify({ offsets: [0, 1], seen: [{ number: 1 }, { number: 2 }], stored: 2 }),
    )
  })
})

test('a process whose topics are its own stays for none of them', async () => {
  const { output } = await runInNode(`
    import { createMess } from '@messkit/sdk'
    const before = process.getActiveResourcesInfo().length
    const topic = createMess({ retention: { ageMs: 3_600_000 } }).topic('imports/local')
    await topic.subscribe(() => {}).ready
    await topic.publish('hello')
    console.log(process.getActiveResourcesInfo().length - before)
  `)

  expect(output).toBe('0')
})

test('a process ends after close() although its server says nothing any more', { timeout: 60_000 }, async () => {
  const proxy = await runProxy(server.port)
  onTestFinished(() => proxy.end())
  const { child, ended } = await startInNode(`
    import { createMess } from '@messkit/sdk'
    const mess = createMess({ url: '${proxy.url}', token: () => '${token}' })
    await mess.topic('imports/silence').publish('hello')
    console.log('published')
    await new Promise((resolve) => process.stdin.once('data', resolve))
    await mess.close()
    console.log('closed')
    process.stdin.destroy()
  `)
  const said = listen(child)
  await eventually(() => expect(said()).toContain('published'))
  proxy.down.blackHole = true
  child.stdin?.write('\n')

  expect(await ended).toBe(0)
})

test('topics of its own work inside of a Worker', async () => {
  const worker = await bundle(
    `
    import { DurableObject } from 'cloudflare:workers'
    import { createMess } from '@messkit/sdk'
    export class TopicObject extends DurableObject {}
    const mess = createMess()
    export default {
      async fetch(request) {
        const topic = mess.topic('visits')
        await topic.publish(new URL(request.url).pathname)
        return Response.json((await topic.history()).messages.map(({ data }) => data))
      },
    }`,
    { external: ['cloudflare:workers'], outfile: 'index.js' },
  )
  const home = await startServer({ dataDir: folder(), bundle: join(worker, '..') })
  onTestFinished(() => home.kill())

  expect(await (await fetch(`${home.url}/a`)).json()).toEqual(['/a'])
  expect(await (await fetch(`${home.url}/b`)).json()).toEqual(['/a', '/b'])
})

// ---- running it

const folder = (): string => mkdtempSync(join(tmpdir(), 'messkit-imports-'))

/** One file with all that the source imports. */
async function bundle(
  source: string,
  options: { format?: 'iife'; globalName?: string; external?: string[]; outfile?: string } = {},
): Promise<string> {
  const { outfile = 'bundle.mjs', ...rest } = options
  const file = join(folder(), outfile)
  await build({
    stdin: { contents: source, resolveDir: import.meta.dirname },
    outfile: file,
    bundle: true,
    format: 'esm',
    platform: 'neutral',
    target: 'es2024',
    mainFields: ['module', 'main'],
    logLevel: 'silent',
    ...rest,
  })
  return file
}

/** Runs a script in a Node of its own and waits until that ends by itself. */
async function runInNode(source: string): Promise<{ output: string }> {
  const { child, ended } = await startInNode(source)
  const said = listen(child)
  expect(await ended, said()).toBe(0)
  return { output: said() }
}

async function startInNode(source: string): Promise<{ child: ChildProcess; ended: Promise<number | null> }> {
  const file = await bundle(source)
  const child = spawn(process.execPath, [file], { stdio: 'pipe' })
  onTestFinished(() => void child.kill('SIGKILL'))
  return { child, ended: new Promise((resolve) => child.on('close', resolve)) }
}

function listen(child: ChildProcess): () => string {
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', (text) => (output += text))
  return () => output.trim()
}
