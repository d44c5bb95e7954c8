// `npm run proof`: every campaign whole, one after the other, each into test/results; then the page that shows them. About an hour.
import { spawnSync } from 'node:child_process'
import { parseArgs } from 'node:util'
import { Failure, inRoot, main } from './project.mjs'

/** By the name of its result. */
const CAMPAIGNS = {
  sim: ['test/sim/run.ts', '--seeds', '20000', '--seed', '1000001'],
  'sim-tabs': ['test/sim/run.ts', '--world', 'tabs', '--seeds', '6000', '--seed', '1000001'],
  faults: ['test/faults/run.ts', '--histories', '1000', '--seed', '1', '--cuts'],
  'faults-queues': ['test/faults/run.ts', '--queues', '--histories', '300', '--seed', '1'],
  browser: ['test/browser/run.ts', '--histories', '100', '--seed', '1'],
  hostile: ['test/hostile/run.ts'],
}

await main(() => {
  const { positionals } = parseArgs({ allowPositionals: true })
  const unknown = positionals.find((name) => !Object.hasOwn(CAMPAIGNS, name))
  if (unknown) throw new Failure(`unknown campaign ${unknown}; known: ${Object.keys(CAMPAIGNS).join(', ')}.`)
  const names = positionals.length > 0 ? positionals : Object.keys(CAMPAIGNS)
  const failed = names.filter((name) => run([...CAMPAIGNS[name], '--out', inRoot(`test/results/${name}.json`)]) !== 0)
  run(['scripts/docs.mjs'])
  if (failed.length > 0) throw new Failure(`failed: ${failed.join(', ')}; what they found stands above.`)
})

function run([script, ...args]) {
  console.log(`\n${script} ${args.join(' ')}`)
  const flags = script.endsWith('.ts') ? ['--experimental-strip-types', '--disable-warning=ExperimentalWarning'] : []
  return spawnSync(process.execPath, [...flags, inRoot(script), ...args], { cwd: inRoot(), stdio: 'inherit' }).status
}
