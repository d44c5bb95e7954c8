import { expect, it } from 'vitest'
import { LIMITS } from '../protocol/limits.ts'
import { Rates } from './rates.ts'

const NOW = 1_800_000_000_000
const PER_SECOND = { count: 3, periodMs: 1_000 }
const PER_HOUR = { count: 1_000_000_000, periodMs: 3_600_000 }

it('lets through so many in any period and as many more as time has paid for, to the millisecond', () => {
  const rates = new Rates()
  let taken = 0
  for (let at = 0; at < 100_000; at++) {
    const count = rates.room('ana', PER_SECOND, NOW + at)
    if (count > 0) rates.spend('ana', PER_SECOND, { count, nowMs: NOW + at })
    taken += count
  }

  expect(taken).toBe(3 + Math.floor((99_999 * 3) / 1_000))
})

it('counts exactly where the numbers are largest', () => {
  const rates = new Rates()
  rates.spend('ana', PER_HOUR, { count: PER_HOUR.count - 1, nowMs: NOW })

  expect(rates.room('ana', PER_HOUR, NOW)).toBe(1)
  rates.spend('ana', PER_HOUR, { count: 1, nowMs: NOW })
  expect(rates.room('ana', PER_HOUR, NOW)).toBe(0)
  expect(rates.room('ana', PER_HOUR, NOW + 1)).toBe(277)
  expect(rates.room('ana', PER_HOUR, NOW + 10 * 3_600_000)).toBe(PER_HOUR.count)
})

it('says to come back when so many fit, or a quarter of the bucket, and then they do', () => {
  const rates = new Rates()
  const rate = { count: 100, periodMs: 60_000 }
  rates.spend('ana', rate, { count: 100, nowMs: NOW })

  const waits = [1, 25, 1_000].map((count) => rates.waitMs('ana', rate, { count, nowMs: NOW }))

  expect(waits).toEqual([600, 15_000, 15_000])
  expect(rates.room('ana', rate, NOW + 599)).toBe(0)
  expect(rates.room('ana', rate, NOW + 600)).toBe(1)
  expect(rates.room('ana', rate, NOW + 15_000)).toBe(25)
})

it('goes on with what was used when the policy changes the rate', () => {
  const rates = new Rates()
  rates.spend('ana', { count: 10, periodMs: 1_000 }, { count: 10, nowMs: NOW })

  expect(rates.room('ana', { count: 30, periodMs: 60_000 }, NOW)).toBe(20)
  expect(rates.room('ana', { count: 5, periodMs: 60_000 }, NOW)).toBe(0)
})

it('writes down what could outlive a sleep, and nothing for what would be full again', () => {
  const rates = new Rates()
  rates.spend('ana', PER_SECOND, { count: 3, nowMs: NOW })
  expect(rates.write()).toBeUndefined()

  rates.spend('bob', { count: 5, periodMs: 60_000 }, { count: 5, nowMs: NOW })
  const text = rates.write() as string
  const next = new Rates()
  next.restore(text)

  expect(rates.write()).toBeUndefined()
  expect(next.room('bob', { count: 5, periodMs: 60_000 }, NOW + 24_000)).toBe(2)
  expect(next.room('ana', PER_SECOND, NOW)).toBe(3)
})

it('knows so many users and no more: who was silent for longest is forgotten', () => {
  const rates = new Rates()
  const rate = { count: 1, periodMs: 60_000 }
  for (let i = 0; i <= LIMITS.ratesPerTopic; i++) {
    rates.spend(`user ${i}`, rate, { count: 1, nowMs: NOW })
    // The first one goes on, so it is not the most silent one.
    if (i === LIMITS.ratesPerTopic - 1) rates.spend('user 0', rate, { count: 0, nowMs: NOW })
  }

  expect([0, 1, 2, LIMITS.ratesPerTopic].map((i) => rates.room(`user ${i}`, rate, NOW))).toEqual([0, 1, 0, 0])
  expect(JSON.parse(rates.write() as string)).toHaveLength(LIMITS.keptRates)
})
