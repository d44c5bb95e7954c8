import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Cursor, makeCursor } from '@messkit/sdk/protocol'
import type { HistoryEvent } from '../support/checker/history.ts'
import type { ChildOrders, FromChild, ToChild } from './client-process.ts'
import type { Stamped } from './recorder.ts'

const STRIP_TYPES = ['--experimental-strip-types', '--disable-warning=ExperimentalWarning']

/** One is kept ready, since the start of a process takes as long as half a history. */
export class Spares<C extends { kill(): Promise<void> }> {
  readonly #make: () => C
  #spare: C | undefined

  constructor(make: () => C) {
    this.#make = make
  }

  prepare(): void {
    this.#spare ??= this.#make()
  }

  take(): C {
    const child = this.#spare ?? this.#make()
    this.#spare = undefined
    return child
  }

  async end(): Promise<void> {
    await this.#spare?.kill()
  }
}

/** Another process, which takes orders of the kind `O`, writes down what happens in a file, and can be killed. */
export class Child<O, E = HistoryEvent> {
  readonly #child: ChildProcess
  readonly #exited: Promise<unknown>
  readonly #ready: Promise<void>
  #file = ''

  constructor(script: string) {
    this.#child = fork(join(import.meta.dirname, script), { execArgv: STRIP_TYPES })
    this.#exited = once(this.#child, 'exit')
    this.#ready = this.#said('ready')
    this.#ready.catch(() => {}) // it was never needed
  }

  get pid(): number {
    return this.#child.pid as number
  }

  async start(orders: O & { readonly file: string }): Promise<void> {
    this.#file = orders.file
    await this.#ready
    await this.ask({ start: orders }, 'started')
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#exited
  }

  /** What it wrote down, which is all of it also after it was killed. */
  events(): Stamped<E>[] {
    const lines = readFileSync(this.#file, 'utf8').split('\n')
    // The last line is empty, or was cut in the middle.
    return lines.slice(0, -1).map((line) => JSON.parse(line) as Stamped<E>)
  }

  protected async ask(order: object, answer: string): Promise<void> {
    const said = this.#said(answer)
    this.#child.send(order)
    await said
  }

  #said(word: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const hear = (said: unknown): void => {
        if (said !== word) return
        this.#child.off('message', hear)
        resolve()
      }
      this.#child.on('message', hear)
      this.#exited.then(() => reject(new Error(`the process ended before it said ${word}`)))
    })
  }
}

/** A client in another process. */
export class ChildClient extends Child<ChildOrders> {
  constructor() {
    super('client-process.ts')
  }

  finish(): Promise<void> {
    return this.ask({ finish: true } satisfies ToChild, 'finished' satisfies FromChild)
  }

  reached(head: number): Promise<void> {
    return this.ask({ reach: head } satisfies ToChild, 'reached' satisfies FromChild)
  }
}

/** Messages of which nobody heard what became of them. */
export function uncertain(events: readonly Stamped[]): string[] {
  const open = new Set<string>()
  for (const [, event] of events) {
    if (event.e === 'publish') open.add(event.id)
    else if (event.e === 'acked') open.delete(event.id)
  }
  return [...open]
}

/** Behind the newest message that it had handled, as the application would have kept it. */
export function keptPosition(events: readonly Stamped[]): Cursor | undefined {
  let epoch = ''
  let next: number | undefined
  for (const [, event] of events) {
    if (event.e === 'start') [epoch, next] = [event.epoch, event.next]
    else if (event.e === 'handled') next = event.offset + 1
    else if (event.e === 'gap') next = event.to
  }
  return next === undefined ? undefined : makeCursor(epoch, next)
}
