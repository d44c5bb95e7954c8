import type { Topic } from '@messkit/sdk'
import { byId, count, setText } from './dom.ts'
import type { Note } from './note.ts'
import type { Outgoing } from './outgoing.ts'

interface ManyOptions {
  readonly outgoing: Outgoing
  readonly topic: () => Topic<Note> | undefined
  /** When the connection came up, on the clock of `performance.now()`: waiting for a cable is not the server's time. */
  readonly onlineSinceMs: () => number
  readonly onTrouble: (error: unknown) => void
  readonly onStarted: () => void
}

interface Run {
  readonly total: number
  readonly startedAtMs: number
  acked: number
  ackedAtMs: number
}

/** Hundreds or thousands of messages at once, and how fast the server has stored them. */
export class Many {
  readonly #options: ManyOptions
  readonly #bar = byId('many-bar', 'progress')
  readonly #result = byId('many-result', 'p')
  #run: Run | undefined

  constructor(options: ManyOptions) {
    this.#options = options
    for (const button of byId('many', 'fieldset').querySelectorAll('button')) {
      button.addEventListener('click', () => this.#start(Number(button.value)))
    }
  }

  #start(total: number): void {
    const { outgoing, topic: current, onTrouble, onStarted } = this.#options
    const topic = current()
    if (!topic) return
    const run: Run = { total, startedAtMs: performance.now(), acked: 0, ackedAtMs: 0 }
    this.#run = run
    const onAck = (): void => {
      run.acked++
      run.ackedAtMs = performance.now()
    }
    try {
      // All in one go: what is published together travels together.
      for (let i = 1; i <= total; i++) outgoing.sendOneOfMany(topic, `${count(i)} of ${count(total)}`, onAck)
    } catch (error) {
      onTrouble(error)
    }
    onStarted()
  }

  draw(): void {
    const run = this.#run
    if (!run) return
    const { total, acked, startedAtMs, ackedAtMs } = run
    this.#bar.hidden = this.#result.hidden = false
    this.#bar.max = total
    this.#bar.value = acked
    const tookMs = Math.max(1, ackedAtMs - Math.max(startedAtMs, this.#options.onlineSinceMs()))
    const speed =
      acked > 0 ? ` in ${(tookMs / 1_000).toFixed(2)} s, ${count(Math.round((acked / tookMs) * 1_000))} a second` : ''
    setText(
      this.#result,
      acked < total ? `${count(acked)} of ${count(total)} acked${speed}` : `All ${count(total)} acked${speed}`,
    )
  }
}
