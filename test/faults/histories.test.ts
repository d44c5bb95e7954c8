import { expect, test } from 'vitest'
import { campaign } from './campaign.ts'
import { topicWorld } from './topics.ts'

/** As many as fit; `npm run faults -- --histories 1000` plays more. */
const HISTORIES = 30
/** Every run plays others, unless MESSKIT_SEED says which. */
const SEED = Number(process.env.MESSKIT_SEED ?? Math.floor(Math.random() * 2 ** 31))

test(`${HISTORIES} histories of real processes and every kind of fault keep every promise`, {
  timeout: 600_000,
}, async () => {
  const { failures, verdict } = await campaign(topicWorld(), { first: SEED, histories: HISTORIES, tell: () => {} })

  expect(failures).toEqual([])
  expect(verdict.histories).toBe(HISTORIES)
})
