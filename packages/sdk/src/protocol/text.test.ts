import fc from 'fast-check'
import { expect, it } from 'vitest'
import { utf8Bytes } from './text.ts'

const encoder = new TextEncoder()

it('counts the bytes that the platform makes of well-formed text', () => {
  const point = fc.oneof(fc.integer({ min: 0, max: 0xd7ff }), fc.integer({ min: 0xe000, max: 0x10ffff }))
  const text = fc.array(point, { maxLength: 40 }).map((points) => String.fromCodePoint(...points))

  fc.assert(
    fc.property(text, (text) => {
      expect(utf8Bytes(text)).toBe(encoder.encode(text).length)
    }),
    { numRuns: 500 },
  )
})

it('counts at the edges of one, two, three and four bytes', () => {
  const edges = [
    '',
    '\x00',
    '\x7f',
    '\x80',
    '\u07ff',
    '\u0800',
    '\ud7ff',
    '\ue000',
    '\uffff',
    '\u{10000}',
    '\u{10ffff}',
  ]

  const counted = edges.map(utf8Bytes)

  expect(counted).toEqual([0, 1, 1, 2, 2, 3, 3, 3, 3, 4, 4])
})
