// What a large policy costs those who publish: the same server under 10,000 rules and under one that allows all, in interleaved pairs.
// `node bench/policy-cost.ts` prints the ratio of each pair and writes the median to results/policy-cost.json; `--pairs 4` asks for fewer
// and writes nothing.
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { bundleWorker } from '../scripts/bundle.mjs'
import { Failure, main, privateDir } from '../scripts/project.mjs'
import { startServer } from '../scripts/serve.mjs'
import { OPEN_TO_ALL } from '../test/support/policy.ts'
import { generator } from '../test/support/random.ts'
import { largePolicy } from './acl/policy.ts'
import { Loader } from './harness/loader.ts'
import { median } from './harness/median.ts'
import { entryOf, writeResults } from './harness/report.ts'
import { makeToken } from './harness/servers.ts'
import { publish2000 } from './publish-2000.ts'

const RULES = 10_000
const PAIRS = 20
/** Of the throughput under one rule. */
const TARGET = 0.97

await main(async () => {
  const { values } = parseArgs({ options: { pairs: { type: 'string' } } })
  const pairs = Number(values.pairs ?? PAIRS)
  if (!Number.isInteger(pairs) || pairs < 1) throw new Failure('--pairs: a whole number from 1.')
  mkdirSync(privateDir, { recursive: true })
  const folder = mkdtempSync(join(privateDir, 'bench-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  const secret = randomBytes(32).toString('base64url')
  const bundle = await bundleWorker()
  const begin = async (name: string, rules: string) => {
    const vars = { TOKEN_SECRET: secret, ADMINS: 'bench', TOKEN_ISSUER: '', TOKEN_AUDIENCE: '', ALLOWED_ORIGINS: '' }
    const server = await startServer({ bundle, dataDir: join(folder, name), vars })
    await setPolicy(server.url, { rules, token: await makeToken(secret) })
    return { server, loader: new Loader('messkit', { url: server.url, token: await makeToken(secret) }) }
  }
  const sides = { one: await begin('one', OPEN_TO_ALL), many: await begin('many', manyRules()) }
  try {
    const rates: Record<keyof typeof sides, number[]> = { one: [], many: [] }
    for (let pair = 0; pair <= pairs; pair++) {
      // In turns, and the order turns around each time: what else the machine does meets both alike. The first pair warms up.
      for (const side of pair % 2 === 0 ? (['one', 'many'] as const) : (['many', 'one'] as const)) {
        const task = { question: publish2000.name, topic: `policy/${side}/${pair}`, messages: 300_000 }
        const rate = await sides[side].loader.measure(task)
        if (pair > 0) rates[side].push(rate)
      }
      const [one = 0, many = 0] = [rates.one.at(-1), rates.many.at(-1)]
      if (pair > 0)
        console.log(`  pair ${pair}: ${Math.round(many)} of ${Math.round(one)} acked/s, ${(many / one).toFixed(3)}`)
    }
    const ratios = rates.many.map((rate, pair) => rate / (rates.one[pair] as number))
    const question = { ...publish2000, name: 'policy-cost', target: TARGET }
    const entry = entryOf(question, { values: rates.many, peer: 'one rule', ratios })
    console.log(
      `${RULES} rules: ${median(ratios).toFixed(3)} of the throughput under one, median of ${pairs} pairs (≥ ${TARGET})`,
    )
    if (pairs >= PAIRS) console.log(`Written to ${writeResults([entry], 'node bench/policy-cost.ts', 'policy-cost')}`)
    if (!entry.met) throw new Failure('missed: policy-cost.')
  } finally {
    await Promise.all(Object.values(sides).map(({ loader }) => loader.end()))
    await Promise.all(Object.values(sides).map(({ server }) => server.kill()))
  }
})

async function setPolicy(url: string, { rules, token }: { rules: string; token: string }): Promise<void> {
  const headers = { authorization: `Bearer ${token}` }
  const body = JSON.stringify({ rules, ifVersion: 0 })
  const response = await fetch(`${url}/v1/admin/policy`, { method: 'PUT', headers, body })
  if (!response.ok) throw new Failure(`the policy was not taken: ${await response.text()}`)
}

/** The publisher is let in by the last one: the others are tried before it. */
function manyRules(): string {
  const { lines } = largePolicy(RULES - 1, generator('policy-cost'))
  const rules = lines.map(
    ({ permission, who, action, name }) => `acl ${permission} ${who} ${action} topic name="${name}"`,
  )
  return [...rules, 'acl allow user:bench all topic from=all'].join('\n')
}
