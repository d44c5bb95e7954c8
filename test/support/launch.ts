import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, vi } from 'vitest'
import { descendantsOf } from './processes.ts'

/** `npm start` without npm: arguments of Node. */
export const LAUNCH = ['scripts/launch.mjs', 'start']
export const START_MS = 60_000

const launches: Launched[] = []

export interface Launched {
  child: ChildProcess
  dataDir: string
  output(): string
  exited: Promise<number | null>
}

export interface Started extends Launched {
  url: string
  below: number[]
}

/** Resolves once the server tells its URL. Any free port, and a data folder of its own. */
export async function start(command: string, args: string[], env: Record<string, string> = {}): Promise<Started> {
  const launched = launch(command, args, { PORT: '0', ...env })
  const listening = vi.waitFor(() => expect(launched.output()).toMatch(/running: http/), { timeout: START_MS })
  const ended = launched.exited.then((code) => {
    throw new Error(`npm start ended with ${code}:\n${launched.output()}`)
  })
  listening.catch(() => {}) // the other one of the two has told why
  await Promise.race([listening, ended])
  ended.catch(() => {}) // from here on it may end
  const url = /running: (http:\S+)/.exec(launched.output())?.[1] ?? ''
  return { ...launched, url, below: descendantsOf(launched.child.pid ?? 0) }
}

export function launch(command: string, args: string[], env: Record<string, string>): Launched {
  const dataDir = mkdtempSync(join(tmpdir(), 'messkit-start-'))
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, MESSKIT_DATA: dataDir, ...env },
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text))
  const exited = new Promise<number | null>((resolve) => child.on('exit', resolve))
  const launched = { child, dataDir, output: () => output, exited }
  launches.push(launched)
  return launched
}

/** For `afterAll`: whatever a test left behind. */
export async function endLaunches(): Promise<void> {
  for (const { child, exited, dataDir } of launches.splice(0)) {
    child.kill()
    await exited
    rmSync(dataDir, { recursive: true, force: true })
  }
}
