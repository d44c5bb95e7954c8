// Starts Messkit on one machine: the Worker's bundle on stand-alone workerd, its data in a folder. For `npm start`, tests and benches.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Failure, inRoot } from './project.mjs'
import { workerdConfig } from './workerd-config.mjs'

const START_MS = 20_000
const STOP_MS = 3_000
const STDERR_CHARS = 64 * 1024

/**
 * @param {object} options
 * @param {string} options.dataDir kept between starts; made if missing
 * @param {string} options.bundle the folder that `bundleWorker()` resolved to
 * @param {number} [options.port] default 0: any free port
 * @param {Record<string, string>} [options.vars] text bindings: TOKEN_SECRET, TOKEN_ISSUER, TOKEN_AUDIENCE, ALLOWED_ORIGINS
 * @param {Record<string, string>} [options.env] of workerd's process, beside its bindings
 * @param {string} [options.demoDir] puts the development worker in front: it serves these files and mints development tokens
 * @param {boolean} [options.privateNetwork] lets the Worker fetch from this machine, such as keys from a test
 */
export async function startServer({ dataDir, bundle, port: wanted = 0, vars = {}, env = {}, demoDir, privateNetwork }) {
  mkdirSync(dataDir, { recursive: true })
  const config = writeConfig({ bundle, vars, demoDir, privateNetwork })
  const folders = [`data=${dataDir}`, ...(demoDir ? [`demo=${demoDir}`] : [])].flatMap((folder) => [
    '--directory-path',
    folder,
  ])
  const args = ['serve', config, '--socket-addr', `http=127.0.0.1:${wanted}`, ...folders, '--control-fd', '3']
  const supervisor = spawn(process.execPath, [inRoot('scripts/supervisor.mjs'), workerdPath(), ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...env, ...vars },
  })
  supervisor.stdin.on('error', () => {}) // it ended first: its exit says so

  let stderr = ''
  supervisor.stderr.setEncoding('utf8').on('data', (text) => {
    stderr = (stderr + text).slice(-STDERR_CHARS)
  })
  /** @type {number} */
  let pid
  supervisor.on('exit', (_, signal) => {
    if (signal !== null && pid !== undefined) sendSignal(pid, 'SIGKILL') // nobody else would, now that it was killed itself
  })
  const exited = new Promise((resolve) => supervisor.on('close', (code) => resolve({ code, stderr })))
  const port = await ready(supervisor, exited, (spawned) => {
    pid = spawned
  })

  const kill = () => signalTo(supervisor, pid, 'SIGKILL', exited)
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    pid,
    /** Resolves when workerd is gone, for whatever reason, with its exit code and the end of its stderr. */
    exited,
    /** The end of what workerd wrote to stderr so far. */
    stderr: () => stderr,
    /** Ends it as a deployment would; what does not end in time is killed, which loses nothing that was acked. */
    stop: async () => {
      const timer = setTimeout(kill, STOP_MS)
      await signalTo(supervisor, pid, 'SIGTERM', exited)
      clearTimeout(timer)
    },
    /** SIGKILL: no chance to finish anything. */
    kill,
    [Symbol.asyncDispose]: kill,
  }
}

async function ready(supervisor, exited, onSpawned) {
  const listens = (async () => {
    let spawned = false
    let port
    for await (const line of createInterface({ input: supervisor.stdout })) {
      const message = JSON.parse(line)
      if (message.event === 'spawned') {
        onSpawned(message.pid)
        spawned = true
      }
      if (message.event === 'listen' && message.socket === 'http') port = message.port
      // On a busy machine workerd may listen before the supervisor has told its pid, without which nobody could end it.
      if (spawned && port !== undefined) return port
    }
    return undefined
  })()
  let timer
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, START_MS)
  })
  const started = await Promise.race([listens, late])
  clearTimeout(timer)
  if (started !== undefined) return started
  supervisor.stdin.end() // which kills workerd, if it still runs
  throw new Failure(`workerd did not start: ${(await exited).stderr.trim()}`)
}

async function signalTo(supervisor, pid, signal, exited) {
  // While the supervisor lives, the pid is workerd's and nobody else's.
  if (supervisor.exitCode === null && supervisor.signalCode === null) sendSignal(pid, signal)
  await exited
}

function sendSignal(pid, signal) {
  try {
    process.kill(pid, signal)
  } catch {} // it has ended by itself
}

function writeConfig({ bundle, vars, demoDir, privateNetwork }) {
  const text = workerdConfig({
    configDir: bundle,
    module: join(bundle, 'index.js'),
    vars: Object.keys(vars).sort(),
    ...(demoDir ? { devWorker: inRoot('scripts/dev-worker.js') } : {}),
    ...(privateNetwork ? { privateNetwork } : {}),
  })
  const file = join(bundle, `workerd-${createHash('sha256').update(text).digest('hex').slice(0, 12)}.capnp`)
  if (!existsSync(file)) writeFileSync(file, text)
  return file
}

// The binary itself: npm's entry for it is a script where install scripts did not run.
function workerdPath() {
  return createRequire(inRoot('package.json'))('workerd').default
}
