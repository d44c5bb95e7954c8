import { expect, test } from 'vitest'
import { matchLevels, patternWithin } from './levels.ts'

const cut = (text: string): string[] => text.split('/')

test.each([
  ['a/#', 'a/b', true],
  ['a/*', 'a/b', true],
  ['a/*', 'a/#', false],
  ['#', 'a/#/b', true],
  ['a/#', 'b', false],
  ['a/*/#', 'a/*', true],
  ['a/*/#', 'a/b/#', true],
  ['a/*/#', 'a/#', false],
  ['#/b', 'a/#/b', true],
  ['#/b', 'a/#', false],
  ['*', '#', false],
  ['a', 'a', true],
  ['*', 'a', true],
  ['a', '*', false],
])('%s has all in it that %s has: %s', (outer, inner, expected) => {
  expect(patternWithin(cut(inner), cut(outer))).toBe(expected)
})

test('a pattern of nothing but wildcards does not take long', () => {
  const pattern = Array.from({ length: 64 }, (_, at) => (at % 2 === 0 ? '#' : '*'))
  const name = Array.from({ length: 2_000 }, () => 'a')

  expect(matchLevels([...pattern, 'b'], name)).toBe(false)
  expect(matchLevels(pattern, name)).toBe(true)
})

test('matching is what trying every way says', () => {
  const words = ['a', 'b', '*', '#']
  const some = (count: number, of: readonly string[]): string[][] =>
    count === 0 ? [[]] : some(count - 1, of).flatMap((rest) => [rest, ...of.map((word) => [word, ...rest])])

  for (const pattern of some(4, words)) {
    for (const name of some(4, ['a', 'b']))
      expect(matchLevels(pattern, name), `${pattern} ${name}`).toBe(slow(pattern, name))
  }
})

function slow([token, ...pattern]: readonly string[], name: readonly string[]): boolean {
  if (token === undefined) return name.length === 0
  if (token === '#') return slow(pattern, name) || (name.length > 0 && slow(['#', ...pattern], name.slice(1)))
  return name.length > 0 && (token === '*' || token === name[0]) && slow(pattern, name.slice(1))
}
