import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { campaign, hashOf } from '../campaign.ts'
import { firstCaught, PATIENCE, plant } from '../plant.ts'
import { QUEUE_MUTANTS } from './mutants.ts'
import { QUEUE_KINDS, simulateQueue } from './world.ts'

/** Some seconds of one core; a campaign of the command has as many as it is told. */
const SEEDS = 1_000

describe('simulated histories of queues', () => {
  it(`keeps every promise in ${SEEDS} of them, and meets every kind of fault`, async () => {
    const { failures, never } = await campaign({
      simulate: simulateQueue,
      first: 1,
      seeds: SEEDS,
      kinds: QUEUE_KINDS,
    })

    expect(failures).toEqual([])
    expect(never).toEqual([])
  }, 300_000)

  it('is the same for the same seed', () => {
    for (let seed = 1; seed <= 50; seed++) expect(hashOf(simulateQueue(seed))).toBe(hashOf(simulateQueue(seed)))
  }, 60_000)
})

describe('planted bugs', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'messkit-mutants-'))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  for (const mutant of QUEUE_MUTANTS) {
    it(`catches: ${mutant.name}`, async () => {
      const simulateMutant = await plant(mutant, { folder, world: 'queue/world.ts', simulate: 'simulateQueue' })

      expect(firstCaught(simulateMutant)).toBeLessThanOrEqual(PATIENCE)
    }, 120_000)
  }
})
