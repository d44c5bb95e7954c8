/** What it needs of `ctx.storage`. */
export interface AlarmHome {
  getAlarm(): Promise<number | null>
  setAlarm(at: number): Promise<void>
}

/** Nothing is planned further ahead than the platform can count; who is woken then asks again. */
const FURTHEST_MS = 30 * 24 * 3_600_000

/**
 * The one alarm that an object has. Wishes are collected while an event is worked on and armed at its end: setting an alarm costs a
 * row, so it is set only if it must ring before the one that stands.
 */
export class Alarm {
  readonly #home: AlarmHome
  #wanted: number | undefined
  /** When the platform will ring; `undefined` before it was asked, `null` for never. */
  #standing: number | null | undefined

  constructor(home: AlarmHome) {
    this.#home = home
  }

  /** Ring at this time or before. */
  want(at: number): void {
    this.#wanted = Math.min(at, this.#wanted ?? at)
  }

  /** Should have rung by now: the platform gives up on an alarm whose handler failed six times. */
  overdue(nowMs: number): boolean {
    return typeof this.#standing === 'number' && this.#standing <= nowMs
  }

  /** It rings; what is still to come must be wanted anew. */
  rung(): void {
    this.#standing = null
  }

  async arm(nowMs: number): Promise<void> {
    if (this.#wanted === undefined) return
    if (this.#standing === undefined) this.#standing = await this.#home.getAlarm()
    // Read after the wait: another event may have wished for more, or have armed already.
    const wanted = this.#wanted
    this.#wanted = undefined
    if (wanted === undefined) return
    const at = Math.min(wanted, nowMs + FURTHEST_MS)
    if (typeof this.#standing === 'number' && this.#standing <= at) return
    this.#standing = at
    await this.#home.setAlarm(at)
  }
}
