import { expect, test } from 'vitest'
import { matchHost, parseHostPattern } from './host-pattern.ts'

const matches = (pattern: string, name: string): boolean | undefined => {
  const parsed = parseHostPattern(pattern)
  return parsed && matchHost(parsed, name)
}

const PATTERNS = [
  'gate',
  '.*[.]shop',
  '.*\\.shop',
  '(a|b)+c?',
  '[a-c]{2,3}',
  '[^a-c]+',
  'x*y+z?',
  '(?:ab)*',
  '\\d+\\w*',
  '^gate$',
  'a{2}',
  'a{1,}',
  '(a|)b',
  '[a\\-]+',
  '[a-]+',
  'a.c',
  '.*?b',
]
const NAMES = [
  '',
  'gate',
  'gateway',
  'a.shop',
  'shop',
  'xshop',
  'ab',
  'aac',
  'abc',
  'abab',
  'bca',
  'xyz',
  'xxyyz',
  'y',
  '12ab',
  'aa',
  'aaa',
  'b',
  'a-a',
  'a.c',
  'a\nc',
]

test.each(PATTERNS)('%s matches what a regular expression matches as a whole', (pattern) => {
  const reference = new RegExp(`^(?:${pattern})$`, 's')

  for (const name of NAMES) expect(matches(pattern, name), name).toBe(reference.test(name))
})

test.each([
  '(',
  ')',
  '[',
  'a)',
  '(a',
  '*',
  '+a',
  'a**',
  'a*+',
  'a{3,2}',
  'a{999}',
  '(?=a)',
  '(?<n>a)',
  '\\1',
  '\\p{L}',
  '[[:alpha:]]',
  '[a&&b]',
  'a'.repeat(300),
  `${'('.repeat(20)}a${')'.repeat(20)}`,
])('%j is refused', (pattern) => {
  expect(parseHostPattern(pattern)).toBeUndefined()
})

test('no pattern takes long', () => {
  const name = 'a'.repeat(255)

  expect(matches('(a*)*b', name)).toBe(false)
  expect(matches('(a|a)*b', name)).toBe(false)
  expect(matches('(.*)(.*)(.*)(.*)(.*)x', name)).toBe(false)
  expect(parseHostPattern('((((a{60}){60}){60}){60})')).toBeUndefined()
})
