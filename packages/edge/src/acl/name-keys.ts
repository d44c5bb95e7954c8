import { ANY, type LevelPattern, ONE } from './levels.ts'
import { hasPlaceholder } from './placeholders.ts'
import type { Condition, Levels, Text } from './policy.ts'

export type Named = Extract<Condition, { kind: 'text' | 'levels' }>

/** Under what a condition about a name is found: one of these holds for every name for which the condition holds. */
export type NameKey =
  | { readonly kind: 'exact'; readonly text: string }
  | { readonly kind: 'prefix'; readonly text: string }
  /** With `#` at the end, if at all. */
  | { readonly kind: 'pattern'; readonly levels: LevelPattern }

export function nameKeys(condition: Named): NameKey[] {
  if (condition.kind === 'text') return condition.anyOf.flatMap(textKeys)
  return condition.anyOf.map((levels) => levelsKey(levels, condition.separator))
}

/** Do the keys hold for other names, too? Then what was found has to be looked at again. */
export function isLoose(condition: Named): boolean {
  if (condition.kind === 'text') return condition.anyOf.some(({ placeholders }) => placeholders)
  return condition.anyOf.some(({ pattern, placeholders }) => placeholders !== 'none' || hasAnyInside(pattern))
}

function textKeys({ text, prefix, placeholders, blank }: Text): NameKey[] {
  const empty: NameKey[] = blank === undefined ? [] : [{ kind: 'exact', text: '' }]
  if (blank === 'only') return empty
  if (placeholders) return [...empty, { kind: 'prefix', text: text.slice(0, text.indexOf('${')) }]
  return [...empty, { kind: prefix ? 'prefix' : 'exact', text }]
}

/** A level with a placeholder may be any one level; what stands behind a `#` inside is not looked at. */
function levelsKey({ pattern, placeholders }: Levels, separator: string): NameKey {
  const open = placeholders === 'none' ? pattern : pattern.map((level) => (hasPlaceholder(level) ? ONE : level))
  const levels = hasAnyInside(open) ? open.slice(0, open.indexOf(ANY) + 1) : open
  const isExact = !levels.includes(ONE) && !levels.includes(ANY)
  return isExact ? { kind: 'exact', text: levels.join(separator) } : { kind: 'pattern', levels }
}

function hasAnyInside(pattern: LevelPattern): boolean {
  return pattern.slice(0, -1).includes(ANY)
}
