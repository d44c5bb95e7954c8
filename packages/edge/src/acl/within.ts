import { patternWithin } from './levels.ts'
import { networkWithin } from './network.ts'
import type { Condition, Levels, Rule, Text } from './policy.ts'

/**
 * Does the earlier rule match whenever the later one does, as far as conditions go? Says yes only where that is certain, so what lint
 * calls dead is dead.
 */
export function conditionsWithin(later: Rule, earlier: Rule): boolean {
  return earlier.where.every((outer) => isWide(outer) || later.where.some((inner) => within(inner, outer)))
}

/** Holds for everything that is asked. */
function isWide(condition: Condition): boolean {
  return condition.kind === 'network' && condition.unknown && condition.anyOf.includes('everywhere')
}

function within(inner: Condition, outer: Condition): boolean {
  if ('property' in inner && 'property' in outer && inner.property !== outer.property) return false
  if (outer.kind === 'present') return 'property' in inner
  if (inner.kind === 'text' && outer.kind === 'text') return covered(inner.anyOf, outer.anyOf, textWithin)
  if (inner.kind === 'levels' && outer.kind === 'levels') return covered(inner.anyOf, outer.anyOf, levelsWithin)
  if (inner.kind === 'boolean' && outer.kind === 'boolean')
    return inner.anyOf.every((value) => outer.anyOf.includes(value))
  if (inner.kind === 'issuer' && outer.kind === 'issuer')
    return inner.anyOf.every((value) => outer.anyOf.includes(value))
  if (inner.kind === 'attributes' && outer.kind === 'attributes')
    return [...inner.names].every((name) => outer.names.has(name))
  // Where the address is not known, a rule that needs it may hold where the other does not.
  if (inner.kind === 'network' && outer.kind === 'network')
    return (
      (outer.unknown || !inner.unknown) &&
      (outer.unreadable || !inner.unreadable) &&
      covered(inner.anyOf, outer.anyOf, networkWithin)
    )
  if (inner.kind === 'range' && outer.kind === 'range')
    return covered(inner.anyOf, outer.anyOf, (a, b) => a.family === b.family && a.first >= b.first && a.last <= b.last)
  return inner.kind === 'hostname' && outer.kind === 'hostname' && sourcesWithin(inner.anyOf, outer.anyOf)
}

function covered<T>(inner: readonly T[], outer: readonly T[], isWithin: (inner: T, outer: T) => boolean): boolean {
  return inner.every((one) => outer.some((other) => isWithin(one, other)))
}

function textWithin(inner: Text, outer: Text): boolean {
  if (inner.placeholders || outer.placeholders || inner.blank || outer.blank)
    return JSON.stringify(inner) === JSON.stringify(outer)
  return outer.prefix ? inner.text.startsWith(outer.text) : !inner.prefix && inner.text === outer.text
}

/** With placeholders they are only compared as they stand. */
function levelsWithin(inner: Levels, outer: Levels): boolean {
  if (outer.placeholders !== 'none' && outer.placeholders !== inner.placeholders) return false
  // What is recognised in a key is more than one level at times, so only the same is within.
  if (inner.placeholders === 'recognise')
    return outer.placeholders === 'recognise' && inner.pattern.join('.') === outer.pattern.join('.')
  return patternWithin(inner.pattern, outer.pattern)
}

function sourcesWithin(
  inner: readonly { readonly source: string }[],
  outer: readonly { readonly source: string }[],
): boolean {
  const sources = new Set(outer.map(({ source }) => source))
  return inner.every(({ source }) => sources.has(source))
}
