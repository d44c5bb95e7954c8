import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { type AddressInfo, createConnection, createServer } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import { Failure } from '../../scripts/project.mjs'

/**
 * When Redis brings the log that it appends to onto the disk. `always`: before it answers, as Messkit does. `everysec`, its own
 * default: once a second, so that a machine that loses power loses what it has acked since.
 */
export type Fsync = 'always' | 'everysec'

/** @returns the address, and what ends it */
export async function startRedis(folder: string, fsync: Fsync): Promise<{ url: string; stop: () => Promise<void> }> {
  mkdirSync(folder, { recursive: true })
  const port = await freePort()
  const settings = { port, bind: '127.0.0.1', dir: folder, appendonly: 'yes', appendfsync: fsync, save: '' }
  const redis = spawn(
    'redis-server',
    Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]),
    { stdio: 'ignore' },
  )
  const ended = once(redis, 'exit').catch(() => {
    throw new Failure('redis-server is needed to measure against: on Debian, `apt-get install redis-server`.')
  })
  const stop = async (): Promise<void> => {
    redis.kill()
    await ended
  }
  process.once('exit', () => redis.kill())
  while (!(await Promise.race([isOpen(port), ended.then(() => true)]))) await setTimeout(20)
  return { url: `redis://127.0.0.1:${port}`, stop }
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
