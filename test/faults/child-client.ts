import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Cursor, makeCursor } from '@messkit/sdk/protocol'
import type { FromChild, ToChild } from './client-process.ts'
import type { Stamped } from './recorder.ts'

const STRIP_TYPES = ['--experimental-strip-types', '--disable-warning=ExperimentalWarning']

/** A client in another process, which can be killed. One is kept ready, since a start takes as long as half a history. */
export class ChildClients {
  #spare: ChildClient | undefined

  prepare(): void {
    this.#spare ??= new ChildClient()
  }

  take(): ChildClient {
    const child = this.#spare ?? new ChildClient()
    this.#spare = undefined
    return child
  }

  async end(): Promise<void> {
    await this.#spare?.kill()
  }
}

export class ChildClient {
  readonly #child: ChildProcess
  readonly #exited: Promise<unknown>
  readonly #ready: Promise<void>
  #file = ''

  constructor() {
    this.#child = fork(join(import.meta.dirname, 'client-process.ts'), { execArgv: STRIP_TYPES })
    this.#exited = once(this.#child, 'exit')
    this.#ready = this.#said('ready')
    this.#ready.catch(() => {}) // it was never needed
  }

  async start(orders: Extract<ToChild, { start: unknown }>['start']): Promise<void> {
    this.#file = orders.file
    await this.#ready
    await this.#ask({ start: orders }, 'started')
  }

  finish(): Promise<void> {
    return this.#ask({ finish: true }, 'finished')
  }

  reached(head: number): Promise<void> {
    return this.#ask({ reach: head }, 'reached')
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#exited
  }

  /** What it wrote down; after it was killed, with what became uncertain by that. */
  events(): Stamped[] {
    const lines = readFileSync(this.#file, 'utf8').split('\n')
    // The last line is empty, or was cut in the middle.
    return lines.slice(0, -1).map((line) => JSON.parse(line) as Stamped)
  }

  async #ask(order: ToChild, answer: FromChild): Promise<void> {
    const said = this.#said(answer)
    this.#child.send(order)
    await said
  }

  #said(word: FromChild): Promise<void> {
    return new Promise((resolve, reject) => {
      const hear = (said: unknown): void => {
        if (said !== word) return
        this.#child.off('message', hear)
        resolve()
      }
      this.#child.on('message', hear)
      this.#exited.then(() => reject(new Error(`the client's process ended before it said ${word}`)))
    })
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
