import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { build } from 'esbuild'
import { chromiumArgs, chromiumPath } from '../../scripts/chromium.mjs'
import { inRoot } from '../../scripts/project.mjs'

/** What a script that pages run is made of, in the project. */
export const SDK = 'test/browser/sdk.ts'

/** A host that is no localhost, so that pages over plain HTTP are no secure context there. */
const INSECURE_HOST = 'plain.test'

/** For every Chromium that the tests start. */
export const launchOptions = () => ({
  executablePath: chromiumPath(),
  args: [...chromiumArgs(), `--host-resolver-rules=MAP ${INSECURE_HOST} 127.0.0.1`],
})

export interface Pages {
  readonly url: string
  /** The same pages on a host that is no secure context. */
  readonly insecureUrl: string
  close(): void
}

export interface PagesOptions {
  /** Served as `script.js`. */
  readonly script: string
  readonly html: string
  /** What `token/<user>` answers. */
  readonly token: (user: string) => Promise<string>
}

/** Pages on an origin of their own. */
export async function servePages({ script, html, token }: PagesOptions): Promise<Pages> {
  const code = await bundle(script)
  const server = createServer(async ({ url = '/' }, response) => {
    if (url.startsWith('/token/')) response.end(await token(url.slice('/token/'.length)))
    else if (url === '/script.js') response.setHeader('content-type', 'text/javascript').end(code)
    else response.setHeader('content-type', 'text/html').end(html)
  })
  const port = await listenAnew(server)
  return {
    url: `http://127.0.0.1:${port}/`,
    insecureUrl: `http://${INSECURE_HOST}:${port}/`,
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}

/** Ports are given out again; pages under one of them would find what others left there in the same profile. */
const ports = new Set<number>()

async function listenAnew(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  if (!ports.has(port)) {
    ports.add(port)
    return port
  }
  await new Promise((resolve) => server.close(resolve))
  return listenAnew(server)
}

const bundles = new Map<string, Promise<Uint8Array>>()

function bundle(script: string): Promise<Uint8Array> {
  const bundling =
    bundles.get(script) ??
    build({
      entryPoints: [inRoot(script)],
      bundle: true,
      format: 'esm',
      target: 'es2024',
      sourcemap: 'inline',
      write: false,
    }).then(({ outputFiles: [file] }) => (file as { contents: Uint8Array }).contents)
  bundles.set(script, bundling)
  return bundling
}
