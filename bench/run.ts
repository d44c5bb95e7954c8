// `npm run bench`: asks every question of Messkit and of its peers, in one run on one machine, and writes down what came out.
// `npm run bench -- fanout-100 --rounds 3` asks some of them for a shorter time, and writes nothing.
import { parseArgs } from 'node:util'
import { onLifelineEnd } from '../scripts/lifeline.mjs'
import { Failure, main } from '../scripts/project.mjs'
import { type Contender, Loader } from './harness/loader.ts'
import type { Question } from './harness/question.ts'
import { entryOf, honestyOf, writeResults } from './harness/report.ts'
import { type Run, runRounds, type Values } from './harness/rounds.ts'
import { startServers } from './harness/servers.ts'
import { drawTable, type Row } from './harness/table.ts'
import { publish2000 } from './publish-2000.ts'
import { QUESTIONS } from './questions.ts'

const ROUNDS = 5

await main(async () => {
  onLifelineEnd(() => process.exit(1))
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1))
  const { questions, rounds } = readArguments()
  console.log(
    `Asking ${questions.map(({ name }) => name).join(', ')}: ${rounds} rounds, about ${5 * questions.length * (rounds + 1)} seconds.`,
  )
  const rows = await ask(questions, rounds)
  console.log(drawTable(rows))
  const entries = rows.map(({ entry }) => entry)
  if (questions.length === QUESTIONS.length && rounds >= ROUNDS)
    console.log(`Written to ${writeResults(entries, 'npm run bench')}`)
  const missed = entries.filter(({ met }) => !met)
  if (missed.length > 0) throw new Failure(`missed: ${missed.map(({ name }) => name).join(', ')}.`)
})

function readArguments(): { questions: readonly Question[]; rounds: number } {
  const { positionals, values } = parseArgs({ allowPositionals: true, options: { rounds: { type: 'string' } } })
  const rounds = Number(values.rounds ?? ROUNDS)
  if (!Number.isInteger(rounds) || rounds < 1) throw new Failure('--rounds: a whole number from 1.')
  const unknown = positionals.find((name) => !QUESTIONS.some((question) => question.name === name))
  if (unknown !== undefined)
    throw new Failure(`no question is called ${unknown}; known: ${QUESTIONS.map(({ name }) => name).join(', ')}.`)
  const questions = QUESTIONS.filter(({ name }) => positionals.length === 0 || positionals.includes(name))
  return { questions, rounds }
}

async function ask(questions: readonly Question[], rounds: number): Promise<Row[]> {
  const servers = await startServers()
  const loader = (contender: Contender) => new Loader(contender, servers.of[contender])
  const loaders = { messkit: loader('messkit'), baseline: loader('baseline'), bare: loader('bare') }
  try {
    const values = await runRounds(questions.map(runOf), { rounds, loaders, said: (text) => console.log(`  ${text}`) })
    return [...values].flatMap(([question, values]) => rowsOf(question, values))
  } finally {
    await Promise.all(Object.values(loaders).map((loader) => loader.end()))
    await servers.stop()
  }
}

/** The bare object has no subscribers and is no peer: it shows what the baseline is worth where both publish. */
function runOf(question: Question): Run {
  return { question, contenders: question === publish2000 ? ['messkit', 'baseline', 'bare'] : ['messkit', 'baseline'] }
}

function rowsOf(question: Question, { messkit = [], baseline = [], bare }: Values): Row[] {
  const { asks, better } = question
  const entry = entryOf(question, { messkit, baseline })
  const row: Row = { entry, asks, better, values: messkit, peers: baseline }
  if (!bare) return [row]
  const honesty = honestyOf(question, { baseline, bare })
  const what = 'the baseline, against one bare insert a message'
  return [row, { entry: honesty, asks: what, better, values: baseline, peers: bare }]
}
