// `npm run check`: the checks without the tests, through turbo, which remembers what it has built.
import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { onLifelineEnd } from './lifeline.mjs'
import { inRoot } from './project.mjs'

const turbo = createRequire(import.meta.url).resolve('turbo/bin/turbo')
const child = spawn(process.execPath, [turbo, 'run', 'check', '--continue', ...process.argv.slice(2)], {
  cwd: inRoot(),
  stdio: 'inherit',
  env: { ...process.env, TURBO_TELEMETRY_DISABLED: '1' },
})
onLifelineEnd(() => child.kill())
child.on('close', (code) => process.exit(code ?? 1))
