import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { parseArgs } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { simulateTabs, TAB_KINDS } from './browser/tabs.ts'
import { type Campaign, campaign, hashOf, succeeded, tellCampaign } from './campaign.ts'
import { KINDS } from './kinds.ts'
import { QUEUE_KINDS, simulateQueue } from './queue/world.ts'
import { simulate } from './world.ts'

/**
 * `npm run sim -- --seeds 1000 --seed 1`: a campaign; with `--out FILE`, its figures as JSON. With `--trace`, the history of one seed,
 * event by event as it happens.
 */
const WORLDS = {
  core: { simulate, kinds: KINDS },
  tabs: { simulate: simulateTabs, kinds: TAB_KINDS },
  queue: { simulate: simulateQueue, kinds: QUEUE_KINDS },
}

// Histories are short-lived: with room for some of them, most of what they leave never reaches the slow collector.
setFlagsFromString('--max-semi-space-size=32')

const { values } = parseArgs({
  options: {
    world: { type: 'string', default: 'core' },
    seeds: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
    trace: { type: 'boolean', default: false },
    out: { type: 'string' },
  },
})
const first = Number(values.seed)
const seeds = Number(values.seeds)
const world = WORLDS[values.world as keyof typeof WORLDS]
if (!world) throw new Error(`--world is one of: ${Object.keys(WORLDS).join(', ')}`)
if (![first, seeds].every(Number.isSafeInteger)) throw new Error('--seed and --seeds are whole numbers')

if (values.trace) await trace()
else await runCampaign()

async function trace(): Promise<void> {
  const outcome = await world.simulate(first, (event, atMs) => console.log(atMs.toFixed(3), JSON.stringify(event)))
  for (const [invariant, { count, examples }] of outcome.verdict.violations)
    console.log(`seed ${first}: ${invariant} (${count}): ${examples[0]}`)
  const { violationCount } = outcome.verdict
  console.log(`seed ${first} ${hashOf(outcome)}, ${outcome.steps} steps, ${violationCount} violations`)
  process.exitCode = violationCount === 0 ? 0 : 1
}

async function runCampaign(): Promise<void> {
  const result = await campaign({ ...world, first, seeds })
  if (values.out)
    write(values.out, { name: `sim ${values.world}`, command: commandOf('--seeds', seeds, '--seed', first), ...result })
  console.log(tellCampaign(result, `${commandOf('--trace')} --seed`))
  process.exitCode = succeeded(result) ? 0 : 1
}

function commandOf(...options: (string | number)[]): string {
  const which = values.world === 'core' ? [] : ['--world', values.world]
  return ['npm run sim --', ...which, ...options].join(' ')
}

function write(file: string, { verdict, ...figures }: Campaign & { name: string; command: string }): void {
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim()
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, `${JSON.stringify({ ...figures, date: new Date().toISOString(), commit, verdict }, null, 2)}\n`)
}
