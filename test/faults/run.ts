import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { parseArgs } from 'node:util'
import { onLifelineEnd } from '../../scripts/lifeline.mjs'
import type { HistoryEvent } from '../support/checker/history.ts'
import { campaign, tellCampaign } from './campaign.ts'
import { cutEverywhere } from './cuts.ts'

/**
 * `npm run faults -- --histories 1000 --seed 1 --out FILE`: histories of real processes, from one seed each. With `--cuts`, also one
 * conversation cut at every byte; with `--trace`, the events of each history.
 */
const { values } = parseArgs({
  options: {
    histories: { type: 'string', default: '30' },
    seed: { type: 'string' },
    out: { type: 'string' },
    cuts: { type: 'boolean', default: false },
    trace: { type: 'boolean', default: false },
  },
})
onLifelineEnd(() => process.exit(1))

const histories = Number(values.histories)
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31))
const command = `npm run faults -- --histories ${histories} --seed ${seed}${values.cuts ? ' --cuts' : ''}`
console.log(command)

const trace = values.trace ? (event: HistoryEvent) => console.log(JSON.stringify(event)) : undefined
const [{ verdict, ...figures }, everywhere] = await Promise.all([
  campaign(seed, histories, console.log, trace),
  values.cuts ? cutEverywhere(console.log) : undefined,
])
const failed = figures.failures.length + figures.never.length + (everywhere?.wrong.length ?? 0) > 0
console.log(tellCampaign({ verdict, ...figures }, everywhere))
if (values.out) {
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim()
  const written = {
    name: 'faults',
    command,
    date: new Date().toISOString(),
    commit,
    ...figures,
    ...everywhere,
    verdict,
  }
  mkdirSync(dirname(values.out), { recursive: true })
  writeFileSync(values.out, `${JSON.stringify(written, null, 2)}\n`)
}
process.exit(failed ? 1 : 0)
