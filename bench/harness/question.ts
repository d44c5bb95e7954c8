import type { Connect } from './contender.ts'

/** What the benchmark asks of every contender. One file each, at the top of this folder. */
export interface Question {
  readonly name: string
  readonly asks: string
  readonly unit: string
  /** How the value is to be compared: of a rate the ratio should be large, of a duration small. */
  readonly better: 'more' | 'less'
  /** The ratio to the baseline that Messkit has to reach. */
  readonly target: number
  /** Into how many turns a round is cut: the shorter, the more alike is what contenders meet; the median of the turns counts. */
  readonly turns: number
  /** Messages a turn; all turns of a round take one to two seconds. */
  readonly messages: { readonly messkit: number; readonly baseline: number }
  /** One turn on a fresh topic. @throws {InvalidRound} */
  measure(connect: Connect, topic: string, messages: number): Promise<number>
}
