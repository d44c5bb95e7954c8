// The one way in: `npm start`, `npm test` and the rest come through here. Runs on Node 20 and without any package installed;
// brings what is missing, then hands over to the command's own script under a Node that can run it.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { constants } from 'node:os'
import { ensureInstalled } from './install.mjs'
import { lifelineEnv, lifelineStdio, onOrphaned } from './lifeline.mjs'
import { ensureNode } from './node.mjs'
import { withNode } from './npm.mjs'
import { ensurePlatformPackages } from './platform-packages.mjs'
import { Failure, inRoot, main } from './project.mjs'

const COMMANDS = {
  start: 'scripts/start.mjs',
  test: 'scripts/test.mjs',
  check: 'scripts/check.mjs',
  bench: 'bench/run.ts',
  'bench:queues': 'bench/queues/run.ts',
  sim: 'test/sim/run.ts',
  proof: 'scripts/proof.mjs',
  faults: 'test/faults/run.ts',
  'faults:browser': 'test/browser/run.ts',
  hostile: 'test/hostile/run.ts',
  fuzz: 'test/hostile/fuzz.ts',
  'acl:vectors': 'test/acl/run.ts',
}
const STOP_MS = 10_000

await main(async () => {
  const [command, ...args] = process.argv.slice(2)
  const script = Object.hasOwn(COMMANDS, command ?? '') ? COMMANDS[command] : undefined
  if (script === undefined) throw new Failure(`unknown command ${command}; known: ${Object.keys(COMMANDS).join(', ')}.`)
  if (!existsSync(inRoot(script))) throw new Failure(`${script} does not exist.`)
  const node = await ensureNode()
  await ensureInstalled(node)
  await ensurePlatformPackages(node)
  handOver(node, command, script, args)
})

function handOver(node, command, script, args) {
  const flags = script.endsWith('.ts') ? ['--experimental-strip-types', '--disable-warning=ExperimentalWarning'] : []
  const child = spawn(node, [...flags, inRoot(script), ...args], {
    cwd: inRoot(),
    stdio: lifelineStdio,
    env: { ...withNode(node), ...lifelineEnv },
  })
  const lifeline = child.stdio[3]
  lifeline.on('error', () => {}) // the child is gone: its exit says so
  let asked
  const stop = (signal) => {
    asked ??= signal
    lifeline.end()
    setTimeout(() => child.kill('SIGKILL'), STOP_MS).unref()
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => stop(signal))
  onOrphaned(() => stop('SIGHUP'))
  child.on('exit', (code, signal) => {
    // A server that was asked to stop and did has done what it should.
    if (asked !== undefined && command === 'start' && code === 0) process.exit(0)
    process.exit(code === 0 && asked === undefined ? 0 : code || 128 + constants.signals[signal ?? asked])
  })
}
