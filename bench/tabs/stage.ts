import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { build } from 'esbuild'
import { type BrowserContext, chromium, type Page } from 'playwright-core'
import { bundleWorker } from '../../scripts/bundle.mjs'
import { chromiumArgs, chromiumPath } from '../../scripts/chromium.mjs'
import { inRoot, privateDir } from '../../scripts/project.mjs'
import { startServer } from '../../scripts/serve.mjs'
import { OPEN_TO_ALL } from '../../test/support/policy.ts'
import { makeToken } from '../harness/servers.ts'
import type { Server } from '../page.ts'

/** Three tabs of a browser that share what they publish, of which the first one leads, one by itself, and a server. All of it is there for all rounds. */
export interface Stage {
  readonly leader: Page
  readonly follower: Page
  readonly other: Page
  /** A tab by itself, for what goes to the server. */
  readonly remote: Page
  readonly context: BrowserContext
  readonly server: Server
  stop(): Promise<void>
}

const PAGE = `<!doctype html><meta charset="utf-8"><title>Bench</title>
<script type="module">
  import * as bench from '/page.js'
  Object.assign(globalThis, { bench })
</script>`
/** A page that is isolated from others may read the clock in steps of 5 µs instead of 100. */
const HEADERS = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' }

export async function setStage(): Promise<Stage> {
  mkdirSync(privateDir, { recursive: true })
  // The browser's storage, too, is in the repository and not in memory; a window without a folder would keep databases in memory.
  const folder = mkdtempSync(join(privateDir, 'bench-tabs-'))
  const remove = (): void => rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  process.once('exit', remove)
  const ends: (() => unknown)[] = [remove]
  const stop = async (): Promise<void> => {
    for (const end of ends.splice(0).reverse()) await end()
  }
  try {
    const site = await servePages()
    ends.push(site.close)
    const secret = randomBytes(32).toString('base64url')
    const vars = {
      TOKEN_SECRET: secret,
      POLICY: OPEN_TO_ALL,
      TOKEN_ISSUER: '',
      TOKEN_AUDIENCE: '',
      ALLOWED_ORIGINS: site.url,
    }
    const { url, kill } = await startServer({ bundle: await bundleWorker(), dataDir: join(folder, 'data'), vars })
    ends.push(kill)
    const context = await chromium.launchPersistentContext(join(folder, 'profile'), {
      executablePath: chromiumPath(),
      args: chromiumArgs(),
    })
    ends.push(() => context.close())
    const open = () => openPage(context, site.url)
    // One after the other: the first one leads.
    const leader = await joined(await open(), 'leader')
    const follower = await joined(await open(), 'follower')
    const other = await joined(await open(), 'follower')
    const server = { url, token: await makeToken(secret) }
    return { leader, follower, other, remote: await open(), context, server, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function servePages(): Promise<{ url: string; close: () => void }> {
  const bundle = await build({
    entryPoints: [inRoot('bench/page.ts')],
    bundle: true,
    format: 'esm',
    target: 'es2024',
    write: false,
  })
  const [script] = bundle.outputFiles
  const server = createServer(({ url }, response) => {
    if (url === '/page.js') response.writeHead(200, { ...HEADERS, 'content-type': 'text/javascript' })
    else response.writeHead(200, { ...HEADERS, 'content-type': 'text/html' })
    response.end(url === '/page.js' ? script?.contents : PAGE)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const close = (): void => {
    server.closeAllConnections()
    server.close()
  }
  return { url: `http://127.0.0.1:${port}`, close }
}

async function openPage(context: BrowserContext, url: string): Promise<Page> {
  const page = await context.newPage()
  await page.goto(url)
  await page.waitForFunction(() => globalThis.bench !== undefined)
  return page
}

/** Once the clients of a page have come together with those of the others. */
async function joined(page: Page, role: 'leader' | 'follower'): Promise<Page> {
  await page.evaluate(async () => {
    for (const way of ['session', 'durable'] as const) await bench.messOf(way).topic('joined').publish({})
  })
  const roles = await page.evaluate(() => (['session', 'durable'] as const).map((way) => bench.messOf(way).status.role))
  if (roles.some((found) => found !== role)) throw new Error(`a page is ${roles.join(', ')} instead of ${role}`)
  return page
}
