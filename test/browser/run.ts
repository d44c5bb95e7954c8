import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { parseArgs } from 'node:util'
import { onLifelineEnd } from '../../scripts/lifeline.mjs'
import { campaign, tellCampaign } from './histories/campaign.ts'

/** `npm run faults:browser -- --histories 100 --seed 1 --out FILE`: histories of a real browser, from one seed each. */
const { values } = parseArgs({
  options: {
    histories: { type: 'string', default: '10' },
    seed: { type: 'string' },
    out: { type: 'string' },
    trace: { type: 'boolean', default: false },
  },
})
onLifelineEnd(() => process.exit(1))
// What it started ends with it.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1))

const histories = Number(values.histories)
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31))
const command = `npm run faults:browser -- --histories ${histories} --seed ${seed}`
console.log(command)

const trace = values.trace ? (event: object) => console.log(JSON.stringify(event)) : undefined
const result = await campaign(seed, histories, console.log, trace)
console.log(tellCampaign(result))
if (values.out) {
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim()
  const written = { name: 'browser', command, date: new Date().toISOString(), commit, ...result }
  mkdirSync(dirname(values.out), { recursive: true })
  writeFileSync(values.out, `${JSON.stringify(written, null, 2)}\n`)
}
process.exit(result.failures.length === 0 && result.never.length === 0 ? 0 : 1)
