/**
 * Where the log of a topic stood when it learned of each version of the policy: `[version, offset]`, both rising. A grant of history counts
 * from where the topic learned of it, so what is older stays hidden from whom a newer rule lets in. Who joins a group that a
 * rule is about reads back as far as the rule does.
 */
export type Learned = readonly (readonly [version: number, offset: number])[]

/** Changes with traffic between them. What is older is forgotten, and then a grant counts from the oldest one that is known. */
const LEARNED = 1_024

/** @returns the same where it is no news */
export function learn(learned: Learned, version: number, offset: number): Learned {
  const last = learned.at(-1)
  if (last && (last[0] >= version || last[1] === offset)) {
    // Nothing was published in between: the newer version is as good as known where the older one was.
    return last[0] >= version ? learned : [...learned.slice(0, -1), [version, offset]]
  }
  return [...learned, [version, offset] as const].slice(-LEARNED)
}

/** Offset at which a topic learned of what has been in the policy since that version. */
export function learnedAt(learned: Learned, version: number): number {
  return learned.find(([known]) => known >= version)?.[1] ?? learned.at(-1)?.[1] ?? 0
}
