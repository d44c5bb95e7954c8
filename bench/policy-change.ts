// How long a change of the deployment's policy takes to reach everybody: 100 topics are live, each with a subscriber who loses the right to
// read. `node bench/policy-change.ts` takes it away and gives it back in rounds, under 10 rules and under 10,000, and writes the medians to
// results/policy-change.json; `--rounds 2` asks for fewer and writes nothing.
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Mess } from '@messkit/sdk'
import { createMess } from '@messkit/sdk/remote'
import { bundleWorker } from '../scripts/bundle.mjs'
import { Failure, main, privateDir } from '../scripts/project.mjs'
import { startServer } from '../scripts/serve.mjs'
import { generator } from '../test/support/random.ts'
import { largePolicy } from './acl/policy.ts'
import { median } from './harness/median.ts'
import { entryOf, writeResults } from './harness/report.ts'
import { makeToken } from './harness/servers.ts'

const TOPICS = 100
const ROUNDS = 10
const TARGET_MS = 1_000

await main(async () => {
  const { values } = parseArgs({ options: { rounds: { type: 'string' } } })
  const rounds = Number(values.rounds ?? ROUNDS)
  if (!Number.isInteger(rounds) || rounds < 1) throw new Failure('--rounds: a whole number from 1.')
  mkdirSync(privateDir, { recursive: true })
  const folder = mkdtempSync(join(privateDir, 'bench-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  const secret = randomBytes(32).toString('base64url')
  const vars = { TOKEN_SECRET: secret, ADMINS: 'bench', TOKEN_ISSUER: '', TOKEN_AUDIENCE: '', ALLOWED_ORIGINS: '' }
  const server = await startServer({ bundle: await bundleWorker(), dataDir: folder, vars })
  const setRules = administrator(server.url, await makeToken(secret))
  try {
    const entries = []
    for (const rules of [10, 10_000]) {
      const taken: number[] = []
      for (let round = 0; round <= rounds; round++) {
        const ms = await takeAway(server.url, { setRules, secret, rules: rulesOf(rules), topics: `${rules}/${round}` })
        if (round > 0) taken.push(ms)
      }
      const most = Math.max(...taken).toFixed(0)
      console.log(
        `${rules} rules: ${TOPICS} live topics in ${median(taken).toFixed(0)} ms, ${most} at most (≤ ${TARGET_MS})`,
      )
      const question = { name: `policy-change-${rules}`, unit: 'ms', better: 'less', target: 1 } as const
      entries.push(entryOf(question, { values: taken, peer: '1 s', ratios: taken.map((ms) => ms / TARGET_MS) }))
    }
    if (rounds >= ROUNDS)
      console.log(`Written to ${writeResults(entries, 'node bench/policy-change.ts', 'policy-change')}`)
    const missed = entries.filter(({ met }) => !met)
    if (missed.length > 0) throw new Failure(`missed: ${missed.map(({ name }) => name).join(', ')}.`)
  } finally {
    await server.kill()
  }
})

function rulesOf(count: number): string {
  const { lines } = largePolicy(count - 1, generator('policy-change'))
  return lines
    .map(({ permission, who, action, name }) => `acl ${permission} ${who} ${action} topic name="${name}"`)
    .join('\n')
}

interface Round {
  readonly setRules: SetRules
  readonly secret: string
  readonly rules: string
  readonly topics: string
}

/** @returns ms from the call that takes the right away until the last of all subscribers knows that it is gone */
async function takeAway(url: string, { setRules, secret, rules, topics }: Round): Promise<number> {
  const allow = 'acl allow user:bench subscribe topic'
  await setRules(`${rules}\n${allow}`)
  const clients: Mess[] = []
  const gone: Promise<number>[] = []
  for (let i = 0; i < TOPICS; i++) {
    const mess = createMess({ url, token: () => makeToken(secret) })
    clients.push(mess)
    gone.push(
      new Promise((resolve) => mess.on('error', ({ code }) => code === 'forbidden' && resolve(performance.now()))),
    )
    await mess.topic(`change/${topics}/${i}`).subscribe(() => {}).ready
  }
  const startedAt = performance.now()
  await setRules(rules)
  const acked = performance.now()
  const last = Math.max(acked, ...(await Promise.all(gone)))
  await Promise.all(clients.map((mess) => mess.close()))
  return last - startedAt
}

type SetRules = (rules: string) => Promise<void>

function administrator(url: string, token: string): SetRules {
  let ifVersion = 0
  return async (rules) => {
    const response = await fetch(`${url}/v1/admin/policy`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${token}` },
      body: JSON.stringify({ rules, ifVersion }),
    })
    if (!response.ok) throw new Failure(`the policy was not taken: ${await response.text()}`)
    const { version, waiting } = (await response.json()) as { version: number; waiting: number }
    if (waiting > 0) throw new Failure(`${waiting} topics did not hear of it`)
    ifVersion = version
  }
}
