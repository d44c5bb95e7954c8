import { expect, it } from 'vitest'
import { ANNOUNCED_LIMITS, LIMITS } from './limits.ts'

const ENVELOPE_BYTES = 1_024

it('says its unit or what it counts, and is a whole number above zero', () => {
  for (const [name, value] of Object.entries(LIMITS)) {
    expect(name).toMatch(/(Bytes|Chars|Ms|Depth|Window|Per[A-Z][a-z]+|s)$/)
    expect(value).toSatisfy((value: number) => Number.isSafeInteger(value) && value > 0)
  }
})

it('lets one message of any size allowed into a frame, a row and a page', () => {
  expect(LIMITS.messageBytes + ENVELOPE_BYTES).toBeLessThanOrEqual(LIMITS.frameBytes)
  expect(LIMITS.messageBytes + ENVELOPE_BYTES).toBeLessThanOrEqual(LIMITS.rowBytes)
  expect(LIMITS.rowBytes).toBeLessThanOrEqual(LIMITS.pageBytes)
})

it('makes every row and every page fit into one frame', () => {
  expect(LIMITS.rowBytes + ENVELOPE_BYTES).toBeLessThanOrEqual(LIMITS.frameBytes)
  expect(LIMITS.pageBytes + ENVELOPE_BYTES).toBeLessThanOrEqual(LIMITS.frameBytes)
})

it('lets a publisher have more than one full frame on its way', () => {
  expect(LIMITS.publisherWindow).toBeGreaterThan(LIMITS.messagesPerFrame)
  expect(LIMITS.undurableBytes).toBeGreaterThan(LIMITS.frameBytes)
})

it('announces only bounds that exist', () => {
  expect(Object.keys(LIMITS)).toEqual(expect.arrayContaining([...ANNOUNCED_LIMITS]))
})
