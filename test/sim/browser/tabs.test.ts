import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { campaign, hashOf, tellCampaign } from '../campaign.ts'
import { TAB_REGRESSIONS } from '../regressions.ts'
import { bundle } from './bundle.ts'
import { TAB_MUTANTS } from './mutants.ts'
import { simulateTabs, TAB_KINDS } from './tabs.ts'

const SEEDS = 150
/** A planted bug must be caught within this many histories. */
const PATIENCE = 200

describe('simulated tabs', () => {
  it(`keep every promise in ${SEEDS} histories, and meet every kind of fault`, async () => {
    const result = await campaign({ simulate: simulateTabs, first: 1, seeds: SEEDS, kinds: TAB_KINDS })

    const { failures, never } = result
    expect({ failures, never }, tellCampaign(result, 'npm run sim -- --world tabs --trace --seed')).toEqual({
      failures: [],
      never: [],
    })
  }, 240_000)

  it.each(TAB_REGRESSIONS)('keep every promise where they once did not: seed $seed', async ({ seed }) => {
    const { verdict } = await simulateTabs(seed)

    expect([...verdict.violations]).toEqual([])
  })

  it('live the same history for the same seed', async () => {
    for (let seed = 1; seed <= 10; seed++)
      expect(hashOf(await simulateTabs(seed))).toBe(hashOf(await simulateTabs(seed)))
  }, 60_000)
})

describe('planted bugs in tabs', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'messkit-tab-mutants-'))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  for (const mutant of TAB_MUTANTS) {
    it(`catches: ${mutant.name}`, async () => {
      const { simulate } = await bundle(folder, mutant)

      expect(await firstCaught(simulate)).toBeLessThanOrEqual(PATIENCE)
    }, 120_000)
  }
})

async function firstCaught(simulate: typeof simulateTabs): Promise<number> {
  for (let seed = 1; seed <= PATIENCE; seed++) {
    // An assertion of our own, or a page that cannot go on, is a catch as well.
    const caught = await simulate(seed).then(
      ({ verdict }) => verdict.violationCount > 0,
      () => true,
    )
    if (caught) return seed
  }
  return Number.POSITIVE_INFINITY
}
