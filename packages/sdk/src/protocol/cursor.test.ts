import fc from 'fast-check'
import { expect, it } from 'vitest'
import { makeCursor, parseCursor } from './cursor.ts'
import { isEpoch, makeEpoch } from './epoch.ts'

const epoch = fc
  .record({
    nowMs: fc.integer({ min: 0, max: 36 ** 9 - 1 }),
    random: fc.double({ min: 0, max: 0.999999, noNaN: true }),
  })
  .map(({ nowMs, random }) => makeEpoch(nowMs, () => random))
const offset = fc.maxSafeNat()

it('reads back what it made', () => {
  fc.assert(
    fc.property(epoch, offset, (epoch, offset) => {
      expect(parseCursor(makeCursor(epoch, offset))).toEqual({ epoch, offset })
    }),
  )
})

it('sorts as text in log order within one epoch', () => {
  fc.assert(
    fc.property(epoch, offset, offset, (epoch, a, b) => {
      const [first, second] = [makeCursor(epoch, a), makeCursor(epoch, b)]

      expect(first < second).toBe(a < b)
    }),
  )
})

it('gives a log that was made later an epoch that sorts behind', () => {
  const random = () => 0.999999

  const earlier = makeEpoch(1_763_000_000_000, random)
  const later = makeEpoch(1_763_000_000_001, () => 0)

  expect(earlier < later).toBe(true)
})

it('makes epochs of sixteen characters, now and in a thousand years', () => {
  const epochs = [0, Date.UTC(2026, 10, 22), Date.UTC(3026, 0, 1)].map((nowMs) => makeEpoch(nowMs, () => 0.5))

  expect(epochs.every(isEpoch)).toBe(true)
})

it('keeps all cursors equally long', () => {
  const cursors = [0, 9, 10, Number.MAX_SAFE_INTEGER].map((offset) => makeCursor('0mi8zq4k0abcdefg', offset))

  expect(new Set(cursors.map(({ length }) => length))).toEqual(new Set([33]))
})

it.each([
  ['nothing', undefined],
  ['a number', 7],
  ['an object', {}],
  ['a list that reads like one', ['0mi8zq4k0abcdefg_0000000000000001']],
  ['empty text', ''],
  ['a word', 'start'],
  ['an epoch alone', '0mi8zq4k0abcdefg'],
  ['an offset alone', '_0000000000000001'],
  ['an epoch that is too short', '0mi8zq4k0abcdef_0000000000000001'],
  ['capitals', '0MI8ZQ4K0ABCDEFG_0000000000000001'],
  ['an offset of 15 digits', '0mi8zq4k0abcdefg_000000000000001'],
  ['an offset of 17 digits', '0mi8zq4k0abcdefg_00000000000000001'],
  ['a sign', '0mi8zq4k0abcdefg_-000000000000001'],
  ['an exponent', '0mi8zq4k0abcdefg_00000000000001e5'],
  ['an offset beyond the safe integers', '0mi8zq4k0abcdefg_9007199254740992'],
  ['a line break at the end', '0mi8zq4k0abcdefg_0000000000000001\n'],
  ['a space in front', ' 0mi8zq4k0abcdefg_0000000000000001'],
  ['digits of another script', '0mi8zq4k0abcdefg_000000000000000\u0661'],
  ['a letter that looks the same', '0mi8zq4k0\u0430bcdefg_0000000000000001'],
])('takes no cursor from %s', (_what, text) => {
  expect(parseCursor(text)).toBeUndefined()
})

it('takes no cursor from random text', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.anything()), (text) => {
      const parsed = parseCursor(text)

      expect(parsed === undefined || makeCursor(parsed.epoch, parsed.offset) === text).toBe(true)
    }),
  )
})
