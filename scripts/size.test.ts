import { expect, test } from 'vitest'
import { check } from './size.mjs'

test('an entry that costs more than its budget does not fit', async () => {
  const result = await check({ entry: 'valibot', budgetBytes: 10 })

  expect(result.bytes).toBeGreaterThan(10)
  expect(result.fits).toBe(false)
})

test('an entry within its budget fits', async () => {
  const result = await check({ entry: 'nanoevents', budgetBytes: 100_000 })

  expect(result.fits).toBe(true)
})
