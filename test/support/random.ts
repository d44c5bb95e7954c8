export interface Random {
  /** What repeats this run: set it as MESSKIT_SEED. */
  readonly seed: string
  /** At least 0 and below 1. */
  next(): number
  /** A whole number from 0 to before `bound`. */
  below(bound: number): number
  pick<T>(from: readonly T[]): T
}

/** There is no such thing in a browser. */
const SEED = (globalThis as { process?: { env: Record<string, string | undefined> } }).process?.env.MESSKIT_SEED

/**
 * Random numbers for a test that has to run fast; where shrinking is worth more, take fast-check. Every run is another one, unless
 * MESSKIT_SEED says which: tests print `seed` where they fail.
 * @param name tells apart the generators of one run
 */
export function generator(name: string): Random {
  const seed = SEED ?? String(Math.floor(Math.random() * 2 ** 32))
  let state = Number(seed) >>> 0
  for (const letter of name) state = Math.imul(state ^ letter.charCodeAt(0), 0x01000193)
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (bound: number): number => Math.floor(next() * bound)
  return {
    seed: `MESSKIT_SEED=${seed} (${name})`,
    next,
    below,
    pick: <T>(from: readonly T[]) => from[below(from.length)] as T,
  }
}
