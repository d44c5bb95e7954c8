import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { parseArgs } from 'node:util'
import { onLifelineEnd } from '../../scripts/lifeline.mjs'
import { type Campaign, campaign, type PlanFacts, tellCampaign, type World } from './campaign.ts'
import { cutEverywhere } from './cuts.ts'
import { queueWorld } from './queues/history.ts'
import { topicWorld } from './topics.ts'

/**
 * `npm run faults -- --histories 1000 --seed 1 --out FILE`: histories of real processes, from one seed each; with `--queues`, of work
 * queues. With `--cuts`, also one conversation cut at every byte; with `--trace`, the events of each history.
 */
const { values } = parseArgs({
  options: {
    queues: { type: 'boolean', default: false },
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
const flags = `${values.queues ? ' --queues' : ''} --histories ${histories} --seed ${seed}${values.cuts ? ' --cuts' : ''}`
const command = `npm run faults --${flags}`
console.log(command)

const play = async <P extends PlanFacts>(world: World<P>): Promise<[Campaign, World<P>['told']]> => {
  const trace = values.trace ? (event: object) => console.log(JSON.stringify(event)) : undefined
  return [await campaign(world, { first: seed, histories, tell: console.log, trace }), world.told]
}
const [[{ verdict, ...figures }, told], everywhere] = await Promise.all([
  values.queues ? play(queueWorld()) : play(topicWorld()),
  values.cuts ? cutEverywhere(console.log) : undefined,
])
const failed = figures.failures.length + figures.never.length + (everywhere?.wrong.length ?? 0) > 0
console.log(tellCampaign(told, { verdict, ...figures }))
if (everywhere) {
  const { cuts, wrong } = everywhere
  console.log(`cut after each of ${cuts.up} bytes up and ${cuts.down} down: ${wrong.length} wrong`)
}
if (values.out) {
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim()
  const written = {
    name: values.queues ? 'faults-queues' : 'faults',
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
