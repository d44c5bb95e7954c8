import { parseArgs } from 'node:util'
import { campaign, tellCampaign } from './campaign.ts'
import { simulate } from './world.ts'

/** `npm run sim -- --seeds 1000 --seed 1`: a campaign; with `--trace`, the history of one seed, event by event. */
const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
    trace: { type: 'boolean', default: false },
  },
})
const first = Number(values.seed)

if (values.trace) {
  const { history, verdict } = simulate(first)
  for (const event of history) console.log(JSON.stringify(event))
  console.log(verdict.violations)
} else {
  const result = campaign(first, Number(values.seeds))
  console.log(tellCampaign(result))
  process.exitCode = result.failures.length === 0 && result.never.length === 0 ? 0 : 1
}
