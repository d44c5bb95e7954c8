import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { campaign, hashOf } from './campaign.ts'
import { KINDS } from './kinds.ts'
import { MUTANTS } from './mutants.ts'
import { firstCaught, PATIENCE, plant } from './plant.ts'
import { REGRESSIONS } from './regressions.ts'
import { simulate } from './world.ts'

/** About half a minute of one core; a campaign of the command has as many as it is told. */
const SEEDS = 3_000
/** So many histories are run twice, in this process and in another one. */
const TWICE = 50
const NODE_ARGS = ['--experimental-strip-types', '--disable-warning=ExperimentalWarning']

describe('simulated histories', () => {
  it(`keeps every promise in ${SEEDS} of them, and meets every kind of fault`, async () => {
    const { failures, never } = await campaign({ simulate, first: 1, seeds: SEEDS, kinds: KINDS })

    expect(failures).toEqual([])
    expect(never).toEqual([])
  }, 600_000)

  it('keeps its promises in the histories that once found a bug', () => {
    const failures = REGRESSIONS.filter(({ seed }) => simulate(seed).verdict.violations.size > 0)

    expect(failures).toEqual([])
  }, 60_000)

  it('is the same for the same seed', () => {
    for (let seed = 1; seed <= TWICE; seed++) expect(hashOf(simulate(seed))).toBe(hashOf(simulate(seed)))
  }, 120_000)

  it('is the same for the same seed in another process', async () => {
    const here = await campaign({ simulate, first: 1, seeds: TWICE, kinds: [] })

    const run = join(import.meta.dirname, 'run.ts')
    const there = promisify(execFile)(process.execPath, [...NODE_ARGS, run, '--seeds', String(TWICE)])

    // So few seeds do not meet every kind of fault, and the command says so.
    const { stdout } = await there.catch((error: { stdout: string }) => error)
    expect(stdout.trim().split('\n').at(-1)).toContain(`${TWICE} histories ${here.hash},`)
  }, 120_000)
})

describe('planted bugs', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'messkit-mutants-'))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  for (const mutant of MUTANTS) {
    it(`catches: ${mutant.name}`, async () => {
      const simulateMutant = await plant(mutant, { folder, world: 'world.ts', simulate: 'simulate' })

      expect(firstCaught(simulateMutant)).toBeLessThanOrEqual(PATIENCE)
    }, 120_000)
  }
})
