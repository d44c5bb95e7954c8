import { expect, test } from 'vitest'
import { parseDuration } from './durations.ts'

test.each([
  ['s', 1_000],
  ['M', 60_000],
  ['Hour', 3_600_000],
  ['2s', 2_000],
  ['15M', 900_000],
  ['1h30m', 5_400_000],
  ['PT5m7.5s', 307_500],
  ['P1DT1M17.7S', 86_477_700],
  ['p2d', 172_800_000],
  ['PT0S', 0],
  ['0,5s', 500],
])('%s is %d ms', (text, ms) => {
  expect(parseDuration(text)).toBeCloseTo(ms, 6)
})

test.each([
  '',
  '7',
  'x',
  'day',
  '1d',
  'P',
  'PT',
  'P1',
  'P1H',
  'PT1D',
  'PT1M1H',
  'PT1S1S',
  '-PT2m',
  'PT-2m',
  'PT1.5M',
  'PT1..5S',
  'P1DT',
  '1e3s',
  'NaN',
  `${'9'.repeat(40)}h`,
  'PT1S '.repeat(30),
])('%j is no period', (text) => {
  expect(parseDuration(text)).toBeUndefined()
})
