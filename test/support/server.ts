import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SignJWT } from 'jose'
import { bundleWorker } from '../../scripts/bundle.mjs'
import { startServer } from '../../scripts/serve.mjs'
import { OPEN_TO_ALL } from './policy.ts'

export const SECRET = 'a secret of at least thirty-two bytes'

/** A token as an application's own server would make it. */
export function makeToken(claims: Record<string, unknown> = {}): Promise<string> {
  const now = Math.floor(Date.now() / 1000)
  return new SignJWT({ sub: 'ana', iat: now, exp: now + 3_600, ...claims })
    .setProtectedHeader({ alg: 'HS256' })
    .sign(new TextEncoder().encode(SECRET))
}

/** Stand-alone workerd with a data folder of its own, which can die and come back at the same address. */
export interface TestServer {
  readonly url: string
  readonly port: number
  readonly dataDir: string
  /** What its process was given beside its settings. */
  readonly env: Readonly<Record<string, string>>
  /** Of workerd as it runs now. */
  readonly pid: number
  stderr(): string
  /** SIGKILL. */
  kill(): Promise<void>
  /** SIGTERM, as a deployment would: it takes no new connections and ends with the last old one, or after 3 s. */
  stop(): Promise<void>
  /** After `kill()` or `stop()`: the same data at the same address, perhaps under other settings. */
  restart(vars?: Record<string, string>): Promise<void>
  /** Takes its data along. */
  end(): Promise<void>
}

export async function runServer(
  vars: Record<string, string> = {},
  {
    dataDir = mkdtempSync(join(tmpdir(), 'messkit-server-')),
    env = {},
  }: { readonly dataDir?: string; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<TestServer> {
  const bundle = await bundleWorker()
  const start = (more: Record<string, string>, port = 0) =>
    startServer({ dataDir, bundle, port, env, vars: { TOKEN_SECRET: SECRET, POLICY: OPEN_TO_ALL, ...vars, ...more } })
  let running = await start({})
  const { url, port } = running
  return {
    url,
    port,
    dataDir,
    env,
    get pid() {
      return running.pid
    },
    stderr: () => running.stderr(),
    kill: () => running.kill(),
    stop: () => running.stop(),
    async restart(more = {}) {
      running = await start(more, port)
    },
    async end() {
      await running.kill()
      rmSync(dataDir, { recursive: true, force: true })
    },
  }
}
