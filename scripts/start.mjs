// `npm start`: builds, serves demo and API on one origin, and leaves nothing behind.
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join, resolve } from 'node:path'
import { buildDemo } from './build-demo.mjs'
import { bundleWorker } from './bundle.mjs'
import { onLifelineEnd } from './lifeline.mjs'
import { Failure, inRoot, main, privateDir } from './project.mjs'
import { startServer } from './serve.mjs'

const DEFAULT_PORT = 8787

await main(async () => {
  let server
  let stopping = false
  const stop = async () => {
    if (stopping) return
    stopping = true
    await server?.stop()
    process.exit(0)
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, stop)
  onLifelineEnd(stop)

  const port = await freePort(portWanted())
  const dataDir = process.env.MESSKIT_DATA ? resolve(process.env.MESSKIT_DATA) : join(privateDir, 'data')
  console.log('Building …')
  const demoDir = await buildDemo()
  const bundle = await bundleWorker()
  if (stopping) return
  const origins = ['127.0.0.1', 'localhost'].map((host) => `http://${host}:${port}`)
  server = await startServer({
    port,
    dataDir,
    bundle,
    demoDir,
    vars: {
      TOKEN_SECRET: secretOf(dataDir),
      TOKEN_ISSUER: 'messkit-development',
      TOKEN_AUDIENCE: 'messkit',
      POLICY: readFileSync(inRoot('packages/demo/policy.acl'), 'utf8'),
      ALLOWED_ORIGINS: origins.join(','),
    },
  })
  console.log(`Messkit is running: ${server.url}\nOpen it in two tabs. Data: ${dataDir}. Ctrl-C stops it.`)
  const { stderr } = await server.exited
  if (!stopping) throw new Failure(`the server ended by itself:\n${stderr.trim()}`)
})

function portWanted() {
  const text = process.env.PORT || String(DEFAULT_PORT)
  const port = Number(text)
  if (/^\d+$/.test(text) && port <= 65_535) return port
  throw new Failure(`PORT must be a number from 0 to 65535, and is "${text}".`)
}

// Asked before anything is built; 0 becomes a real number, because the Worker has to know its own origin.
function freePort(wanted) {
  const probe = createServer()
  return new Promise((resolve, reject) => {
    probe.on('error', (error) => {
      const why = error.code === 'EADDRINUSE' ? 'is taken' : `cannot be used (${error.code})`
      reject(new Failure(`port ${wanted} ${why}: stop what uses it, or choose another one with PORT=8788 npm start.`))
    })
    probe.listen(wanted, '127.0.0.1', () => {
      const { port } = probe.address()
      probe.close(() => resolve(port))
    })
  })
}

// One secret per data folder: tokens of one do not open another, and nothing has to be configured.
function secretOf(dataDir) {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  const file = join(dataDir, '.token-secret')
  if (!existsSync(file)) writeFileSync(file, randomBytes(32).toString('base64url'), { mode: 0o600, flag: 'wx' })
  return readFileSync(file, 'utf8')
}
