import { expect, test } from 'vitest'
import { campaign } from '../campaign.ts'
import { queueWorld } from './history.ts'

/** As many as fit; `npm run faults -- --queues --histories 300` plays more. */
const HISTORIES = 12
/** Every run plays others, unless MESSKIT_SEED says which. */
const SEED = Number(process.env.MESSKIT_SEED ?? Math.floor(Math.random() * 2 ** 31))

test(`${HISTORIES} histories of queues, with workers that die, keep every promise`, { timeout: 600_000 }, async () => {
  const { failures, verdict } = await campaign(queueWorld(), { first: SEED, histories: HISTORIES, tell: () => {} })

  expect(failures).toEqual([])
  expect(verdict.histories).toBe(HISTORIES)
})
