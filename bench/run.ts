// `npm run bench`: asks every question of Messkit and of its peers, in one run on one machine, and writes down what came out.
// `npm run bench -- fanout-100 --rounds 3` asks some of them for a shorter time, and writes nothing; `npm run bench -- tabs` asks those
// of a browser.
import { parseArgs } from 'node:util'
import { onLifelineEnd } from '../scripts/lifeline.mjs'
import { Failure, main } from '../scripts/project.mjs'
import { type Contender, Loader } from './harness/loader.ts'
import type { Question } from './harness/question.ts'
import { entryOf, honestyOf, writeResults } from './harness/report.ts'
import { type Run, ratiosOf, runRounds, type Values } from './harness/rounds.ts'
import { startServers } from './harness/servers.ts'
import { drawTable, type Row } from './harness/table.ts'
import { publish2000 } from './publish-2000.ts'
import { QUESTIONS } from './questions.ts'
import { askTabs, worst } from './tabs/ask.ts'
import type { TabQuestion } from './tabs/question.ts'
import { TAB_QUESTIONS } from './tabs/questions.ts'

const ROUNDS = 5

await main(async () => {
  onLifelineEnd(() => process.exit(1))
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1))
  const { questions, tabQuestions, rounds } = readArguments()
  const asked = questions.length + tabQuestions.length
  const seconds = (5 * questions.length + 3 * tabQuestions.length) * (rounds + 1)
  const names = [...questions, ...tabQuestions].map(({ name }) => name)
  console.log(`Asking ${names.join(', ')}: ${rounds} rounds, about ${seconds} seconds.`)
  const said = (text: string) => console.log(`  ${text}`)
  const rows = questions.length > 0 ? await ask(questions, rounds, said) : []
  const tabRows = tabQuestions.length > 0 ? await askTabs(tabQuestions, { rounds, said }) : []
  console.log(drawTable([...rows, ...tabRows]))
  const entries = [...rows, ...worst(tabRows)].map(({ entry }) => entry)
  if (asked === QUESTIONS.length + TAB_QUESTIONS.length && rounds >= ROUNDS)
    console.log(`Written to ${writeResults(entries, 'npm run bench')}`)
  const missed = entries.filter(({ met }) => !met)
  if (missed.length > 0) throw new Failure(`missed: ${missed.map(({ name }) => name).join(', ')}.`)
})

interface Wanted {
  readonly questions: readonly Question[]
  readonly tabQuestions: readonly TabQuestion[]
  readonly rounds: number
}

function readArguments(): Wanted {
  const { positionals, values } = parseArgs({ allowPositionals: true, options: { rounds: { type: 'string' } } })
  const rounds = Number(values.rounds ?? ROUNDS)
  if (!Number.isInteger(rounds) || rounds < 1) throw new Failure('--rounds: a whole number from 1.')
  const known = ['tabs', ...[...QUESTIONS, ...TAB_QUESTIONS].map(({ name }) => name)]
  const unknown = positionals.find((name) => !known.includes(name))
  if (unknown !== undefined) throw new Failure(`no question is called ${unknown}; known: ${known.join(', ')}.`)
  const wanted = (name: string) => positionals.length === 0 || positionals.includes(name)
  return {
    questions: QUESTIONS.filter(({ name }) => wanted(name)),
    tabQuestions: TAB_QUESTIONS.filter(({ name }) => wanted(name) || wanted('tabs')),
    rounds,
  }
}

async function ask(questions: readonly Question[], rounds: number, said: (text: string) => void): Promise<Row[]> {
  const servers = await startServers()
  const loader = (contender: Contender) => new Loader(contender, servers.of[contender])
  const loaders = { messkit: loader('messkit'), baseline: loader('baseline'), bare: loader('bare') }
  try {
    const values = await runRounds(questions.map(runOf), { rounds, loaders, said })
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
  const entry = entryOf(question, { values: messkit, peer: 'baseline', ratios: ratiosOf(messkit, baseline) })
  const row: Row = { entry, asks, better, values: messkit, peers: baseline }
  if (!bare) return [row]
  const honesty = honestyOf(question, { baseline, bare })
  const what = 'the baseline, against one bare insert a message'
  return [row, { entry: honesty, asks: what, better, values: baseline, peers: bare }]
}
