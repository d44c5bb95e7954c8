import { entryOf } from '../harness/report.ts'
import { ratiosOf } from '../harness/rounds.ts'
import type { Row } from '../harness/table.ts'
import type { Pair, TabQuestion } from './question.ts'
import { setStage } from './stage.ts'

/** Asks questions in a browser, round by round, and drops a first round that warms up. A row for each case of each question. */
export async function askTabs(
  questions: readonly TabQuestion[],
  { rounds, said }: { rounds: number; said: (text: string) => void },
): Promise<Row[]> {
  const stage = await setStage()
  const all = new Map<TabQuestion, Readonly<Record<string, Pair>>[]>()
  try {
    for (let round = 0; round <= rounds; round++) {
      said(round === 0 ? 'warming up the browser' : `round ${round} of ${rounds} in the browser`)
      for (const question of questions) {
        const pairs = await question.round(stage, round)
        if (round > 0) all.set(question, [...(all.get(question) ?? []), pairs])
      }
    }
  } finally {
    await stage.stop()
  }
  return [...all].flatMap(([question, rounds]) => rowsOf(question, rounds))
}

function rowsOf(question: TabQuestion, rounds: readonly Readonly<Record<string, Pair>>[]): Row[] {
  const { peer, asks, better } = question
  const cases = Object.keys(rounds[0] ?? {})
  return cases.map((name) => {
    const pairs = rounds.map((pairs) => pairs[name] as Pair)
    const [values, peers] = [pairs.map(({ messkit }) => messkit), pairs.map(({ peer }) => peer)]
    const entry = entryOf(question, { values, peer, ratios: ratiosOf(values, peers) })
    return { entry, asks: name === '' ? asks : `${asks}: ${name}`, better, values, peers }
  })
}

/** Of a question that was asked of several tabs, the case in which Messkit does worst. */
export function worst(rows: readonly Row[]): Row[] {
  const byName = Map.groupBy(rows, ({ entry }) => entry.name)
  return [...byName.values()].map(([first, ...others]) =>
    others.reduce((worst, row) => (isWorse(row, worst) ? row : worst), first as Row),
  )
}

function isWorse(row: Row, than: Row): boolean {
  const [[, ratio = 0] = []] = Object.entries(row.entry.ratios)
  const [[, other = 0] = []] = Object.entries(than.entry.ratios)
  return row.better === 'more' ? ratio < other : ratio > other
}
