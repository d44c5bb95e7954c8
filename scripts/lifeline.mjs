// A pipe that only exists to end: its far end closes however the holder goes, SIGKILL included, and no signal can do that.
import { readFileSync } from 'node:fs'
import { Socket } from 'node:net'

const FD = 3
const POLL_MS = 500

/** The stdio of a child that calls {@link onLifelineEnd}. */
export const lifelineStdio = ['inherit', 'inherit', 'inherit', 'pipe']
export const lifelineEnv = { MESSKIT_LIFELINE: String(FD) }

/** In the child: calls `end` once the parent is gone or asks for the end by closing its side. */
export function onLifelineEnd(end) {
  if (process.env.MESSKIT_LIFELINE !== String(FD)) return
  delete process.env.MESSKIT_LIFELINE // for this process alone: its own children have no such pipe
  const pipe = new Socket({ fd: FD, readable: true, writable: false })
  let ended = false
  const once = () => {
    if (!ended) end()
    ended = true
  }
  pipe.on('end', once).on('error', once).on('close', once)
  pipe.resume()
  pipe.unref()
}

/** In the outermost process, which nobody gave a pipe: calls `orphaned` when whoever started it is gone. */
export function onOrphaned(orphaned) {
  const before = ancestors()
  const timer = setInterval(() => {
    const now = ancestors()
    if (before.every((pid, i) => pid === now[i]) && isAlive(before[0])) return
    clearInterval(timer)
    orphaned()
  }, POLL_MS)
  timer.unref()
}

// npm runs scripts through a shell that may stay in between and would outlive npm, so one more generation is watched where /proc tells it.
function ancestors() {
  const pids = [process.ppid]
  if (process.env.npm_lifecycle_event !== undefined) pids.push(parentOf(process.ppid))
  return pids
}

function parentOf(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) // the name in brackets may hold spaces
  } catch {
    return 0
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}
