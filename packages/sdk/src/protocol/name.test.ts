import fc from 'fast-check'
import { expect, it } from 'vitest'
import { LIMITS } from './limits.ts'
import { nameFault } from './name.ts'

it.each([
  'a',
  '0',
  'chat',
  'rooms/42',
  'Rooms/42',
  'a/b/c/d/e/f/g/h',
  'with-dash/with_line/with.dot',
  '-',
  '...',
  '.a',
  'a.',
  'a/_b',
  'constructor',
  'hasOwnProperty',
  'x'.repeat(64),
  `${'x'.repeat(64)}/${'y'.repeat(64)}/${'z'.repeat(64)}`,
])('takes %s', (name) => {
  expect(nameFault(name)).toBeUndefined()
})

it.each([
  ['nothing', undefined],
  ['null', null],
  ['a number', 42],
  ['a list that reads like a name', ['rooms']],
  ['empty text', ''],
  ['a slash', '/'],
  ['a slash in front', '/rooms'],
  ['a slash at the end', 'rooms/'],
  ['an empty level', 'rooms//42'],
  ['a dot', '.'],
  ['two dots', '..'],
  ['two dots in between', 'rooms/../users'],
  ['a dot in between', 'rooms/./42'],
  ['a reserved beginning', '_system'],
  ['nine levels', 'a/b/c/d/e/f/g/h/i'],
  ['a level of 65 characters', 'x'.repeat(65)],
  ['201 bytes', `${'x'.repeat(64)}/${'y'.repeat(64)}/${'z'.repeat(64)}/${'w'.repeat(6)}`],
  ['a space', 'my room'],
  ['a space in front', ' rooms'],
  ['a line break at the end', 'rooms\n'],
  ['NUL', 'rooms\0'],
  ['a tab', 'rooms\t42'],
  ['a backslash', 'rooms\\42'],
  ['a percent escape', 'rooms%2F42'],
  ['a question mark', 'rooms?42'],
  ['a hash', 'rooms#1'],
  ['a colon', 'topic:main'],
  ['an asterisk', 'rooms/*'],
  ['a Cyrillic twin', 'r\u043eoms'],
  ['full width', '\uff52ooms'],
  ['a composed letter', 'caf\u00e9'],
  ['a decomposed letter', 'cafe\u0301'],
  ['a letter that folds to ASCII', '\u212a'],
  ['a dotless i', 'room\u0131'],
  ['zero width space', 'ro\u200boms'],
  ['text direction', '\u202erooms'],
  ['a slash look-alike', 'rooms\u221542'],
  ['an emoji', 'rooms/🚀'],
  ['half of a surrogate pair', 'rooms\ud83d'],
  ['a byte order mark', '\ufeffrooms'],
])('refuses %s', (_what, name) => {
  expect(nameFault(name)).toEqual(expect.any(String))
})

it('refuses whatever breaks the rules, and nothing else', () => {
  const level = fc.string({ unit: fc.constantFrom('a', 'Z', '9', '_', '-', '.', '/', ' ', 'é', '\n'), maxLength: 70 })
  const obeys = (name: string) =>
    new TextEncoder().encode(name).length <= LIMITS.nameBytes &&
    name.split('/').length <= 8 &&
    name.split('/').every((level) => /^[A-Za-z0-9_.-]{1,64}$/.test(level) && level !== '.' && level !== '..') &&
    !name.startsWith('_')

  fc.assert(
    fc.property(fc.array(level, { minLength: 1, maxLength: 10 }), (levels) => {
      const name = levels.join('/')

      expect(nameFault(name) === undefined).toBe(obeys(name))
    }),
    { numRuns: 2_000 },
  )
})

it('says what is wrong without repeating a name that is too long', () => {
  const said = nameFault('x'.repeat(10_000))

  expect(said?.length).toBeLessThan(100)
})
