import type { TabBus } from '../link/tabs.ts'
import { Alarm, elapsed, hasPage, heldLocks, isFree, onPage, pause, takeLock } from '../platform.ts'

export interface ElectionOptions {
  readonly bus: TabBus
  /** A number higher than that of every leader before; what fails here makes another tab the leader. */
  readonly nextTerm: (signal: AbortSignal) => Promise<number>
  /** Makes ready what the others will ask for as soon as they know. `signal` ends with the lead. */
  readonly prepare: (term: number, signal: AbortSignal) => Promise<void>
  /** This tab leads, and the others were told. */
  readonly elected: (term: number, signal: AbortSignal) => void
  /** It does not, or not any more: it was put away, or taken for dead. */
  readonly deposed: () => void
  /** There is another leader than before. */
  readonly changed: () => void
  /** A tab has ended, however. */
  readonly gone: (tab: string) => void
  /** Whether this tab waits for something that only the leader can do. */
  readonly waiting: () => boolean
  readonly failed: (error: unknown) => void
}

/**
 * While a tab waits for its leader it asks every so often whether it lives, and after so many askings without an answer takes
 * its place. Askings are counted and not time, so that a tab that was asleep itself accuses nobody.
 */
const ASK_MS = 2_000
const ASKINGS = 4

/**
 * Makes one of the tabs the leader. A lock elects it, and passes on by itself when a tab closes or crashes. A tab that is put away
 * lets go of it; one that is stopped cannot, so others take it away. Nothing rests on there being one leader only: the server knows
 * repeats, and the database compares terms.
 *
 *     away ─(join)─▶ candidate ─(lock, or four askings without an answer)─▶ leader
 *      ▲                │  ▲                                                  │
 *      └──(put away)────┘  └────────────(lock taken away, higher term)────────┘
 */
export class Election {
  readonly #options: ElectionOptions
  readonly #watched = new Set<string>()
  readonly #asking = new Alarm(() => this.#ask(), false)
  readonly #unlisten: () => void
  #name = ''
  /** Ends with being put away; everything that waits for a lock ends with it. */
  #presence: AbortController | undefined
  #alive: (() => void) | undefined
  /** Ends with standing for election: by winning, by being deposed, or with the presence. */
  #candidacy: AbortController | undefined
  #lock: (() => void) | undefined
  #term = 0
  #leading = false
  #retired = false
  /** There is a tab of a newer build. */
  #yields = false
  #unanswered = 0

  /** @param away and `back` are called around the time in which the page is put away */
  constructor(options: ElectionOptions, { away, back }: { away: () => void; back: () => void }) {
    this.#options = options
    const { bus } = options
    bus.on('hello', (_, tab) => {
      this.#watch(this.#aliveName(tab))
      if (this.#leading) bus.post('holder', { term: this.#term }, tab)
    })
    bus.on('holder', ({ term }) => this.#heard(term))
    bus.on('ask', (_, tab) => {
      // Also one that is still getting ready lives.
      if (this.#lock) bus.post('answer', { term: this.#term }, tab)
    })
    bus.on('answer', () => {
      this.#unanswered = 0
    })
    // Neither hears the other's answers: they would take the lead from each other for ever.
    bus.on('other', (newer) => {
      this.#yields ||= newer
    })
    this.#unlisten = onPage({ hide: away, show: back })
  }

  get leading(): boolean {
    return this.#leading
  }

  get away(): boolean {
    return this.#presence === undefined
  }

  /** A tab that is there holds a lock of its own, so that the others learn of its end however it comes. */
  async join(name: string): Promise<void> {
    this.#name = name
    const presence = new AbortController()
    this.#presence = presence
    const alive = await taken(takeLock(this.#aliveName(this.#options.bus.id), presence), presence.signal)
    if (!alive) return
    this.#alive = alive
    this.#options.bus.open(name)
    this.#options.bus.post('hello', undefined)
    this.#stand(false)
  }

  /** Let go of everything, at once. */
  leave(): void {
    this.#presence?.abort()
    this.#presence = undefined
    this.#resign()
    this.#options.bus.close()
    this.#alive?.()
    this.#alive = undefined
  }

  /** Somebody has a higher term, perhaps one that came too late to lead with it: lead with a new one, or not. */
  overtaken(): void {
    if (this.#leading) this.#depose()
  }

  /** Stay, and never lead again. */
  retire(): void {
    this.#retired = true
    this.#resign()
  }

  close(): void {
    this.#unlisten()
    this.leave()
  }

  /** Something waits for the leader from now on. */
  wait(): void {
    if (!this.#leading && this.#presence) this.#asking.set(elapsed() + ASK_MS)
  }

  // ---- becoming the leader

  /** @param steal whether the holder is taken for dead */
  #stand(steal: boolean): void {
    // A context without a page may end at any moment without anybody noticing.
    if (this.#retired || !hasPage()) return
    this.#candidacy?.abort()
    const candidacy = new AbortController()
    this.#candidacy = candidacy
    const lost = (): void => this.#lost(candidacy)
    const lock = takeLock(this.#name, steal ? { steal, lost } : { signal: candidacy.signal, lost })
    taken(lock, candidacy.signal)
      .then((release) => {
        if (!release) return
        this.#lock = release
        return this.#win(candidacy.signal)
      })
      .catch(this.#options.failed)
  }

  async #win(signal: AbortSignal): Promise<void> {
    const { bus, nextTerm, prepare, elected, failed } = this.#options
    try {
      this.#term = await nextTerm(signal)
      if (!signal.aborted) await prepare(this.#term, signal)
    } catch (error) {
      // What went wrong after the lock was lost concerns nobody.
      if (signal.aborted) return
      failed(error)
      this.#resign()
      await pause(ASK_MS)
      // Somebody else may be able to; if nobody is, this one tries again.
      if (this.#presence && !this.#candidacy) this.#stand(false)
      return
    }
    if (signal.aborted) return
    this.#leading = true
    this.#asking.clear()
    bus.post('holder', { term: this.#term })
    elected(this.#term, signal)
    for (const alive of await heldLocks(this.#aliveName(''))) this.#watch(alive)
  }

  /** The lock was taken away, which a tab that was stopped learns when it runs again. */
  #lost(candidacy: AbortController): void {
    if (this.#candidacy === candidacy) this.#depose()
  }

  #heard(term: number): void {
    this.#unanswered = 0
    if (this.#leading && term > this.#term) this.#depose()
    else if (!this.#leading) this.#options.changed()
  }

  #depose(): void {
    this.#resign()
    this.#options.changed()
    if (!this.#presence) return
    this.#stand(false)
    this.wait()
  }

  #resign(): void {
    this.#candidacy?.abort()
    this.#candidacy = undefined
    this.#asking.clear()
    this.#watched.clear()
    this.#leading = false
    this.#options.deposed()
    this.#lock?.()
    this.#lock = undefined
  }

  // ---- whether the others live

  #ask(): void {
    if (this.#leading || !this.#presence) return
    if (!this.#options.waiting()) {
      this.#unanswered = 0
      return
    }
    if (this.#unanswered++ < ASKINGS) this.#options.bus.post('ask', undefined)
    else {
      this.#unanswered = 0
      // A newer leader sends what is stored here, and cannot say so.
      if (this.#yields) this.#options.changed()
      else this.#stand(true)
    }
    this.#asking.set(elapsed() + ASK_MS)
  }

  /** A tab that ends may leave links to our homes, and messages that it had stored and not told of any more. */
  #watch(alive: string): void {
    const presence = this.#presence
    if (!presence || !this.#leading || this.#watched.has(alive) || alive === this.#aliveName(this.#options.bus.id))
      return
    this.#watched.add(alive)
    void taken(takeLock(alive, presence), presence.signal).then((release) => {
      if (!release) return
      release()
      this.#watched.delete(alive)
      if (this.#leading) this.#options.gone(alive.slice(this.#aliveName('').length))
    })
  }

  /** Whether the tab of this id still lives. */
  async lives(tab: string): Promise<boolean> {
    return !(await isFree(this.#aliveName(tab)))
  }

  #aliveName(tab: string): string {
    return `${this.#name}#${tab}`
  }
}

/** What releases a lock; nothing if it is not wanted any more when it comes. */
async function taken(lock: Promise<() => void>, signal: AbortSignal): Promise<(() => void) | undefined> {
  const release = await lock.catch(() => undefined)
  if (signal.aborted) release?.()
  return signal.aborted ? undefined : release
}
