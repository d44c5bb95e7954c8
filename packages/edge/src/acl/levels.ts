/** A pattern over names with levels: `*` is exactly one level, `#` any number of them, none included. */
export type LevelPattern = readonly string[]

export const ONE = '*'
export const ANY = '#'

/**
 * Does the pattern match the name? Linear in practice and never worse than pattern times name: after a mismatch only the last `#`
 * takes one level more, never an earlier one.
 */
export function matchLevels(pattern: LevelPattern, name: readonly string[]): boolean {
  let at = 0
  let level = 0
  let lastAny = -1
  let takenUpTo = 0
  while (level < name.length) {
    if (pattern[at] === ANY) {
      lastAny = at++
      takenUpTo = level
    } else if (at < pattern.length && (pattern[at] === ONE || pattern[at] === name[level])) {
      at++
      level++
    } else if (lastAny >= 0) {
      at = lastAny + 1
      level = ++takenUpTo
    } else return false
  }
  while (pattern[at] === ANY) at++
  return at === pattern.length
}

/** Is every name that `inner` matches matched by `outer`? May say no where the answer is yes, never the other way round. */
export function patternWithin(inner: LevelPattern, outer: LevelPattern): boolean {
  // reachable[i]: the first i levels of `inner` are covered by the levels of `outer` that were looked at.
  let reachable = inner.map(() => false)
  reachable.unshift(true)
  for (const token of outer) {
    const next = reachable.map(() => false)
    for (let i = 0; i <= inner.length; i++) {
      if (token === ANY) next[i] = (reachable[i] as boolean) || (i > 0 && (next[i - 1] as boolean))
      else if (i > 0) next[i] = (reachable[i - 1] as boolean) && coversLevel(token, inner[i - 1] as string)
    }
    reachable = next
  }
  return reachable[inner.length] as boolean
}

function coversLevel(outer: string, inner: string): boolean {
  return inner !== ANY && (outer === ONE || outer === inner)
}
