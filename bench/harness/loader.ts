import { type ChildProcess, fork } from 'node:child_process'
import { inRoot } from '../../scripts/project.mjs'
import { InvalidRound } from './contender.ts'

export type Contender = 'messkit' | 'baseline' | 'bare'

export interface Task {
  readonly contender: Contender
  readonly server: { readonly url: string; readonly token: string }
  readonly question: string
  readonly topic: string
  readonly messages: number
}

export type Answer = { readonly value: number } | { readonly failure: string }

/** Many times what a round takes: something hangs. */
const ROUND_MS = 60_000

/** A process that loads one server. It ends with this one. */
export class Loader {
  readonly #contender: Contender
  readonly #server: Task['server']
  readonly #child: ChildProcess

  /** @param flags for its Node, such as those that write a profile */
  constructor(contender: Contender, server: Task['server'], flags: readonly string[] = []) {
    this.#contender = contender
    this.#server = server
    this.#child = fork(inRoot('bench/load.ts'), { execArgv: [...process.execArgv, ...flags] })
  }

  /** @throws {InvalidRound} */
  async measure(task: Omit<Task, 'contender' | 'server'>): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>()
    const timer = setTimeout(() => reject(new InvalidRound(`no end after ${ROUND_MS} ms`)), ROUND_MS)
    const ended = () => reject(new InvalidRound('the process that loads it ended'))
    this.#child.once('message', resolve).once('exit', ended)
    try {
      this.#child.send({ ...task, contender: this.#contender, server: this.#server } satisfies Task)
      const answer = await promise
      if ('failure' in answer) throw new InvalidRound(answer.failure)
      return answer.value
    } catch (error) {
      throw new InvalidRound(`${task.question}, ${this.#contender}: ${error instanceof Error ? error.message : error}`)
    } finally {
      clearTimeout(timer)
      this.#child.off('message', resolve).off('exit', ended)
    }
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const gone = new Promise((resolve) => this.#child.once('exit', resolve))
    this.#child.disconnect()
    await gone
  }
}
