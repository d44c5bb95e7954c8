// The checks that need no running code: the `check:*` scripts of package.json, one after the other.
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { inRoot } from './project.mjs'

export const CHECKS = Object.entries(JSON.parse(readFileSync(inRoot('package.json'), 'utf8')).scripts).filter(
  ([name]) => name.startsWith('check:'),
)

/** Resolves to how many passed and failed; prints a line for each, and all that a failed one said. */
export async function runChecks() {
  const counts = { passed: 0, failed: 0 }
  for (const [name, command] of CHECKS) {
    const startedAt = performance.now()
    const { code, said } = await run(command)
    counts[code === 0 ? 'passed' : 'failed']++
    console.log(`${code === 0 ? '✓' : '✗'} ${name} (${Math.round(performance.now() - startedAt)} ms)`)
    if (code !== 0) console.log(said.trim())
  }
  return counts
}

function run(command) {
  const child = spawn(command, { cwd: inRoot(), shell: true, stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (said += text))
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, said })))
}
