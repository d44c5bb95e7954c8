/**
 * The only reader of clocks, timers, randomness and globals. Everything here is looked up when it is called, never when it is
 * imported: Workers forbid timers and randomness at module scope, and importing must leave nothing open.
 */

/** Wall clock, in ms since 1970. */
export const now = (): number => Date.now()

export const random = (): number => Math.random()

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz0123456789'

/** A name that nobody else draws: 36^20 is more than 2^103. */
export function randomName(chars = 20): string {
  let name = ''
  for (const byte of crypto.getRandomValues(new Uint8Array(chars))) name += ALPHABET[byte % ALPHABET.length]
  return name
}

/** Runs once at a wall-clock time; an earlier call takes the place of a later one. */
export class Alarm {
  #timer: ReturnType<typeof setTimeout> | undefined
  #at = Number.POSITIVE_INFINITY
  readonly #ring: () => void

  constructor(ring: () => void) {
    this.#ring = ring
  }

  set(at: number): void {
    if (at >= this.#at) return
    clearTimeout(this.#timer)
    this.#at = at
    // A timer above 2^31 ms would fire at once.
    this.#timer = setTimeout(() => this.#fire(), Math.min(Math.max(0, at - now()), 2 ** 31 - 1))
  }

  clear(): void {
    clearTimeout(this.#timer)
    this.#at = Number.POSITIVE_INFINITY
  }

  #fire(): void {
    this.#at = Number.POSITIVE_INFINITY
    this.#ring()
  }
}

export const soon = (task: () => void): void => queueMicrotask(task)

/** What the browser says about network and page; hints that shorten a wait and prove nothing. */
export function onHint(listener: () => void): () => void {
  const target = globalThis as { addEventListener?: typeof addEventListener; removeEventListener?: typeof removeEventListener; document?: Document }
  if (!target.document || !target.addEventListener) return () => {}
  const visible = () => {
    if (target.document?.visibilityState === 'visible') listener()
  }
  target.addEventListener('online', listener)
  target.addEventListener('pageshow', listener)
  target.document.addEventListener('visibilitychange', visible)
  return () => {
    target.removeEventListener?.('online', listener)
    target.removeEventListener?.('pageshow', listener)
    target.document?.removeEventListener('visibilitychange', visible)
  }
}
