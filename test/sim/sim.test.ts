import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { campaign } from './campaign.ts'
import { MUTANTS, type Mutant } from './mutants.ts'
import { REGRESSIONS } from './regressions.ts'
import { simulate } from './world.ts'

const SEEDS = 1_000
/** A planted bug must be caught within this many histories. */
const PATIENCE = 200
const ROOT = resolve(import.meta.dirname, '../..')

describe('simulated histories', () => {
  it(`keeps every promise in ${SEEDS} of them, and meets every kind of fault`, () => {
    const { failures, never } = campaign(1, SEEDS)

    expect(failures).toEqual([])
    expect(never).toEqual([])
  }, 240_000)

  it('keeps its promises in the histories that once found a bug', () => {
    const failures = REGRESSIONS.filter(({ seed }) => simulate(seed).verdict.violations.size > 0)

    expect(failures).toEqual([])
  })

  it('is the same for the same seed', () => {
    for (let seed = 1; seed <= 50; seed++)
      expect(JSON.stringify(simulate(seed).history)).toBe(JSON.stringify(simulate(seed).history))
  }, 60_000)
})

describe('planted bugs', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'messkit-mutants-'))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  for (const mutant of MUTANTS) {
    it(`catches: ${mutant.name}`, async () => {
      const simulateMutant = await plant(mutant, folder)

      expect(firstCaught(simulateMutant)).toBeLessThanOrEqual(PATIENCE)
    }, 120_000)
  }
})

function firstCaught(simulateMutant: typeof simulate): number {
  for (let seed = 1; seed <= PATIENCE; seed++) {
    try {
      if (simulateMutant(seed).verdict.violations.size > 0) return seed
    } catch {
      // An assertion of our own, or a client that cannot go on, is a catch as well.
      return seed
    }
  }
  return Number.POSITIVE_INFINITY
}

/** The simulation with one bug in it, built from the real sources. */
async function plant({ name, file, find, plant }: Mutant, folder: string): Promise<typeof simulate> {
  const path = join(ROOT, file)
  const source = await readFile(path, 'utf8')
  if (source.split(find).length !== 2)
    throw new Error(`The mutant "${name}" no longer fits ${file}: find its line again`)
  const outfile = join(folder, `${name.replaceAll(' ', '-')}.mjs`)
  await build({
    entryPoints: [join(import.meta.dirname, 'world.ts')],
    bundle: true,
    format: 'esm',
    platform: 'node',
    outfile,
    plugins: [
      {
        name: 'plant',
        setup: ({ onLoad }) =>
          onLoad({ filter: /\.ts$/ }, (load) =>
            load.path === path ? { contents: source.replace(find, () => plant), loader: 'ts' } : undefined,
          ),
      },
    ],
  })
  return ((await import(/* @vite-ignore */ outfile)) as { simulate: typeof simulate }).simulate
}
