// `npm test`: every check and every test, and as the last line their total. With arguments, vitest alone, for the files they name.
import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { runChecks } from './checks.mjs'
import { chromiumPath } from './chromium.mjs'
import { onLifelineEnd } from './lifeline.mjs'
import { inRoot, main, privateDir } from './project.mjs'

await main(async () => {
  onLifelineEnd(() => process.exit(1))
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1))
  const filters = process.argv.slice(2)
  const total = filters.length > 0 ? { passed: 0, failed: 0 } : await runChecks()
  const tests = await runVitest(filters)
  total.passed += tests.passed
  total.failed += tests.failed
  sayIfNoBrowser()
  console.log(`${total.passed} passed, ${total.failed} failed`)
  process.exitCode = total.failed > 0 ? 1 : 0
})

// The most likely reason for failures on a new machine, where it is read: at the end.
function sayIfNoBrowser() {
  try {
    chromiumPath()
  } catch (error) {
    console.error(`messkit: ${error.message}`)
  }
}

async function runVitest(filters) {
  const file = join(privateDir, `counts-${process.pid}.json`)
  mkdirSync(privateDir, { recursive: true })
  const child = spawn(process.execPath, [inRoot('node_modules/vitest/vitest.mjs'), 'run', ...filters], {
    cwd: inRoot(),
    stdio: ['ignore', 'inherit', 'inherit'],
    detached: true, // a process group of its own, so that its servers can be ended with it
    env: { ...process.env, MESSKIT_COUNTS: file, WRANGLER_SEND_METRICS: 'false', WRANGLER_WRITE_LOGS: 'false' },
  })
  process.on('exit', () => endGroup(child.pid))
  const code = await new Promise((resolve) => child.on('close', resolve))
  const counts = readCounts(file)
  rmSync(file, { force: true })
  // No count is no result: vitest crashed, found nothing, or failed for a reason that is no test's.
  if (counts === undefined || counts.passed + counts.failed === 0 || (code !== 0 && counts.failed === 0)) {
    console.error(
      `messkit: vitest ended with code ${code} and ${counts === undefined ? 'no' : 'an empty or spotless'} result.`,
    )
    return { passed: counts?.passed ?? 0, failed: 1 }
  }
  return counts
}

function endGroup(pid) {
  try {
    process.kill(process.platform === 'win32' ? pid : -pid, 'SIGKILL')
  } catch {} // nobody is left, as it should be
}

function readCounts(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch {
    return undefined
  }
}
