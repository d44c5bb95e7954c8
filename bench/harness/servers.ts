import { randomBytes } from 'node:crypto'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { SignJWT } from 'jose'
import { bundleWorker } from '../../scripts/bundle.mjs'
import { inRoot, privateDir } from '../../scripts/project.mjs'
import { startServer } from '../../scripts/serve.mjs'
import { OPEN_TO_ALL } from '../../test/support/policy.ts'
import type { Contender, Task } from './loader.ts'

/** Stand-alone workerd for each contender, all under the same configuration, each with data of its own. */
export interface Servers {
  readonly of: Readonly<Record<Contender, Task['server']>>
  stop(): Promise<void>
}

const HOUR_SECONDS = 3_600

export async function startServers(): Promise<Servers> {
  mkdirSync(privateDir, { recursive: true })
  // In the repository and not in the system's folder for temporary files, which may be memory: what is measured is durable.
  const folder = mkdtempSync(join(privateDir, 'bench-'))
  const started: Awaited<ReturnType<typeof startServer>>[] = []
  const start = async (contender: Contender, bundle: string, vars: Record<string, string>): Promise<string> => {
    const server = await startServer({ bundle, dataDir: join(folder, `${contender}-data`), vars })
    started.push(server)
    return server.url
  }
  const remove = (): void => rmSync(folder, { recursive: true, force: true })
  process.once('exit', remove) // for who is interrupted; the servers end with this process
  const stop = async (): Promise<void> => {
    await Promise.all(started.map((server) => server.kill()))
    remove()
  }
  try {
    const secret = randomBytes(32).toString('base64url')
    const vars = {
      TOKEN_SECRET: secret,
      POLICY: OPEN_TO_ALL,
      TOKEN_ISSUER: '',
      TOKEN_AUDIENCE: '',
      ALLOWED_ORIGINS: '',
    }
    const messkit = { url: await start('messkit', await bundleWorker(), vars), token: await makeToken(secret) }
    const baseline = { url: await start('baseline', worker(folder, 'naive'), {}), token: '' }
    const bare = { url: await start('bare', worker(folder, 'bare'), {}), token: '' }
    return { of: { messkit, baseline, bare }, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** A worker of the baseline is plain JavaScript and needs no building. */
function worker(folder: string, name: string): string {
  const bundle = join(folder, name)
  mkdirSync(bundle)
  copyFileSync(inRoot(`bench/baseline/${name}.js`), join(bundle, 'index.js'))
  return bundle
}

export function makeToken(secret: string): Promise<string> {
  const now = Math.floor(Date.now() / 1000)
  return new SignJWT({ sub: 'bench', iat: now, exp: now + HOUR_SECONDS })
    .setProtectedHeader({ alg: 'HS256' })
    .sign(new TextEncoder().encode(secret))
}
