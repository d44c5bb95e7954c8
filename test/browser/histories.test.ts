import { expect, test } from 'vitest'
import { campaign } from './histories/campaign.ts'

const HISTORIES = 10

test('tabs, renderers, browsers, networks, storage and servers that break at any moment: every promise holds', {
  timeout: 300_000,
}, async () => {
  const seed = Number(process.env.MESSKIT_SEED ?? Math.floor(Math.random() * 2 ** 31))

  const { failures, verdict } = await campaign(seed, HISTORIES, () => {})

  expect(failures, `MESSKIT_SEED=${seed}`).toEqual([])
  expect(verdict.histories).toBe(HISTORIES)
  expect(verdict.counts.get('deliver')).toBeGreaterThan(0)
})
