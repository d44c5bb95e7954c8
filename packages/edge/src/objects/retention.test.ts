import { expect, test } from 'vitest'
import { readRetention } from './retention.ts'

test('keeps a gibibyte and thirty days where nothing is said', () => {
  const usual = { bytes: 1024 ** 3, ageMs: 30 * 24 * 3_600_000 }

  expect(readRetention(undefined)).toEqual(usual)
  expect(readRetention('')).toEqual(usual)
})

test.each(['{}', '{"messages":1}', '{"ageMs":60000,"bytes":1048576,"messages":1000}'])('takes %s', (text) => {
  expect(readRetention(text)).toEqual(JSON.parse(text))
})

test.each([
  '{',
  'null',
  '[]',
  '7',
  '{"messages":0}',
  '{"bytes":-1}',
  '{"ageMs":1.5}',
  '{"ageMs":"1d"}',
  '{"messages":1e300}',
  '{"age":5}',
])('does not take %s', (text) => {
  expect(readRetention(text)).toBeUndefined()
})
