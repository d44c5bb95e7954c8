import type { Contender, Loader } from './loader.ts'
import { median } from './median.ts'
import type { Question } from './question.ts'

/** One value for each round, by contender. */
export type Values = Readonly<Partial<Record<Contender, readonly number[]>>>

export interface Run {
  readonly question: Question
  readonly contenders: readonly Contender[]
}

interface Asking {
  readonly rounds: number
  readonly loaders: Readonly<Record<Contender, Loader>>
  readonly said: (text: string) => void
}

/**
 * Every contender answers every question once a round, in turns, one right after the other, and the order turns around each time: what
 * else the machine does meets all of them alike. A first round warms up and is not counted.
 */
export async function runRounds(
  runs: readonly Run[],
  { rounds, loaders, said }: Asking,
): Promise<Map<Question, Values>> {
  const all = new Map<Question, Values>()
  for (let round = 0; round <= rounds; round++) {
    said(round === 0 ? 'warming up' : `round ${round} of ${rounds}`)
    for (const run of runs) {
      const values = await runRound(run, round, loaders)
      if (round > 0) all.set(run.question, join(all.get(run.question) ?? {}, values))
    }
  }
  return all
}

async function runRound({ question, contenders }: Run, round: number, loaders: Asking['loaders']): Promise<Values> {
  const turns: Partial<Record<Contender, number[]>> = {}
  for (let turn = 0; turn < question.turns; turn++) {
    for (const contender of (round + turn) % 2 === 0 ? contenders : contenders.toReversed()) {
      const topic = `${question.name}/${contender}/${round}-${turn}`
      const messages = question.messages[contender === 'messkit' ? 'messkit' : 'baseline']
      const value = await loaders[contender].measure({ question: question.name, topic, messages })
      turns[contender] = [...(turns[contender] ?? []), value]
    }
  }
  return Object.fromEntries(Object.entries(turns).map(([contender, values]) => [contender, [median(values)]]))
}

function join(before: Values, round: Values): Values {
  return Object.fromEntries(
    (Object.keys(round) as Contender[]).map((contender) => [
      contender,
      [...(before[contender] ?? []), ...(round[contender] ?? [])],
    ]),
  )
}

/** Ratios within a round, where both saw the same machine. */
export function ratiosOf(values: readonly number[] = [], peers: readonly number[] = []): number[] {
  return values.map((value, round) => value / (peers[round] as number))
}
