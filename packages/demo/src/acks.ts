import type { Receipt } from '@messkit/sdk'

const KEPT = 200

/** How long the server took for what was written in this tab. */
export class Acks {
  readonly #tookMs = new Map<string, number>()
  readonly #onAck: () => void

  constructor(onAck: () => void) {
    this.#onAck = onAck
  }

  follow(receipt: Receipt): void {
    const sentAtMs = performance.now()
    receipt.then(
      () => {
        this.#tookMs.set(receipt.id, performance.now() - sentAtMs)
        const [oldest] = this.#tookMs.keys()
        if (this.#tookMs.size > KEPT && oldest !== undefined) this.#tookMs.delete(oldest)
        this.#onAck()
      },
      () => {}, // it is in the outbox, which tells why
    )
  }

  tookMs(id: string): number | undefined {
    return this.#tookMs.get(id)
  }
}
