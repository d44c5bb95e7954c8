import type { Mess, OutboxEntry } from '@messkit/sdk'
import type { Drafts } from './drafts.ts'
import type { Outgoing } from './outgoing.ts'

/** Reading the outbox costs a little; its counts tell when to look, and that much later is soon enough. */
const PAUSE_MS = 250

interface OutboxWatchOptions {
  readonly mess: Mess
  readonly outgoing: Outgoing
  readonly drafts: Drafts
  readonly onChange: () => void
}

/**
 * What the outbox lists: also what was written in another tab or before a reload, and what was refused. Looks again when the counts in
 * `status` tell of messages that this tab has no receipt for.
 */
export class OutboxWatch {
  readonly #options: OutboxWatchOptions
  #entries = new Map<string, OutboxEntry>()
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(options: OutboxWatchOptions) {
    this.#options = options
    options.mess.on('status', () => this.#lookSoon())
    void this.#look()
  }

  in(topic: string): OutboxEntry[] {
    return [...this.#entries.values()].filter((entry) => entry.topic === topic)
  }

  /** Seen as a stored message, so it waits no longer, whatever was read a moment ago. */
  arrived(id: string): void {
    this.#entries.delete(id)
  }

  /** It waits again, as a new message behind all others. */
  retry(id: string): void {
    const { mess, outgoing, drafts } = this.#options
    const entry = this.#entries.get(id)
    if (!entry) return
    const text = drafts.textOf(id) ?? 'One of many'
    try {
      outgoing.follow({ topic: entry.topic, text, receipt: mess.outbox.retry(id) })
      drafts.forget(id)
    } catch {} // somebody has decided in another tab
    void this.#look()
  }

  async discard(id: string): Promise<void> {
    const { mess, drafts } = this.#options
    if (await mess.outbox.discard(id)) drafts.forget(id)
    await this.#look()
  }

  #lookSoon(): void {
    const { mess, outgoing } = this.#options
    const { unsent, refused } = mess.status
    const allKnown = refused === 0 && unsent === outgoing.waiting && this.#entries.size === 0
    if (allKnown) return
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      void this.#look()
    }, PAUSE_MS)
  }

  async #look(): Promise<void> {
    const { mess, drafts, onChange } = this.#options
    try {
      const entries = await mess.outbox.list()
      this.#entries = new Map(entries.map((entry) => [entry.id, entry]))
      drafts.sweep(this.#entries)
      onChange()
    } catch {} // closed, or its storage was taken away, which `status` tells
  }
}
