// How many jobs a second, and how soon, against BullMQ on Redis in the same run: `npm run bench:queues` asks every question in rounds, in
// turns, and writes results/queues.json; `npm run bench:queues -- queue-start-1 --rounds 2` asks some and writes nothing.
import { fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { bundleWorker } from '../../scripts/bundle.mjs'
import { Failure, inRoot, main, privateDir } from '../../scripts/project.mjs'
import { startServer } from '../../scripts/serve.mjs'
import { OPEN_TO_ALL } from '../../test/support/policy.ts'
import { entryOf, writeResults } from '../harness/report.ts'
import { ratiosOf } from '../harness/rounds.ts'
import { makeToken } from '../harness/servers.ts'
import { drawTable, type Row } from '../harness/table.ts'
import { backlogMillion } from './backlog.ts'
import type { QueueTask } from './load.ts'
import { QUEUE_QUESTIONS } from './questions.ts'
import { startRedis } from './redis.ts'

const ROUNDS = 5
const CONTENDERS = ['messkit', 'bullmq'] as const

await main(async () => {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { rounds: { type: 'string' }, everysec: { type: 'boolean' } },
  })
  const fsync = values.everysec ? 'everysec' : 'always'
  const rounds = Number(values.rounds ?? ROUNDS)
  if (!Number.isInteger(rounds) || rounds < 1) throw new Failure('--rounds: a whole number from 1.')
  const asked = QUEUE_QUESTIONS.filter(({ name }) => positionals.length === 0 || positionals.includes(name))
  mkdirSync(privateDir, { recursive: true })
  const folder = mkdtempSync(join(privateDir, 'bench-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  const secret = randomBytes(32).toString('base64url')
  const vars = { TOKEN_SECRET: secret, POLICY: OPEN_TO_ALL, TOKEN_ISSUER: '', TOKEN_AUDIENCE: '', ALLOWED_ORIGINS: '' }
  const redis = await startRedis(join(folder, 'redis'), fsync)
  const server = await startServer({ bundle: await bundleWorker(), dataDir: join(folder, 'messkit'), vars })
  const servers = {
    messkit: { url: server.url, token: await makeToken(secret) },
    bullmq: { url: redis.url, token: '' },
  }
  const loaders = { messkit: fork(inRoot('bench/queues/load.ts')), bullmq: fork(inRoot('bench/queues/load.ts')) }
  const measure = async (contender: QueueTask['contender'], question: string, round: number): Promise<number> => {
    const queue = `${question}-${round}`
    loaders[contender].send({ contender, server: servers[contender], question, queue } satisfies QueueTask)
    const [answer] = (await once(loaders[contender], 'message')) as [{ value: number } | { failure: string }]
    if ('failure' in answer) throw new Failure(`${question}, ${contender}: ${answer.failure}`)
    return answer.value
  }
  try {
    console.log(
      `BullMQ on Redis with an append-only file, fsync ${fsync}; Messkit on stand-alone workerd. ${rounds} rounds.`,
    )
    const rows: Row[] = []
    for (const question of asked) {
      const measured = { messkit: [] as number[], bullmq: [] as number[] }
      for (let round = 0; round <= rounds; round++) {
        for (const contender of round % 2 === 0 ? CONTENDERS : CONTENDERS.toReversed()) {
          const value = await measure(contender, question.name, round)
          if (round > 0) measured[contender].push(value)
        }
      }
      const ratios = ratiosOf(measured.messkit, measured.bullmq)
      const entry = entryOf(question, { values: measured.messkit, peer: 'BullMQ', ratios })
      const { asks, better } = question
      rows.push({ entry, asks, better, values: measured.messkit, peers: measured.bullmq })
    }
    if (positionals.length === 0 || positionals.includes('queue-backlog-million'))
      rows.push(await backlogMillion({ server: servers.messkit, rounds }))
    console.log(drawTable(rows))
    const entries = rows.map(({ entry }) => entry)
    if (asked.length === QUEUE_QUESTIONS.length && rounds >= ROUNDS)
      console.log(`Written to ${writeResults(entries, 'npm run bench:queues', 'queues')}`)
    const missed = entries.filter(({ met }) => !met)
    if (missed.length > 0) throw new Failure(`missed: ${missed.map(({ name }) => name).join(', ')}.`)
  } finally {
    for (const loader of Object.values(loaders)) loader.disconnect()
    await Promise.all([server.kill(), redis.stop()])
  }
})
