import { expect, test } from 'vitest'
import { Meter } from './meter.ts'

test('counts what came within the last second', () => {
  const meter = new Meter()

  meter.add(300, 10_000)
  meter.add(200, 10_450)

  expect(meter.perSecond(10_500)).toBe(500)
  expect(meter.perSecond(11_050)).toBe(200)
  expect(meter.perSecond(11_500)).toBe(0)
})

test('forgets everything after a long silence', () => {
  const meter = new Meter()
  meter.add(300, 10_000)

  meter.add(1, 999_999)

  expect(meter.perSecond(999_999)).toBe(1)
})
