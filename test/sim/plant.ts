import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { build } from 'esbuild'
import type { Mutant } from './mutants.ts'
import type { Outcome } from './world.ts'

type Simulate = (seed: number) => Outcome

/** A planted bug must be caught within this many histories. */
export const PATIENCE = 200
const ROOT = resolve(import.meta.dirname, '../..')

/** The first seed whose history shows that something is wrong. */
export function firstCaught(simulate: Simulate): number {
  for (let seed = 1; seed <= PATIENCE; seed++) {
    try {
      if (simulate(seed).verdict.violations.size > 0) return seed
    } catch {
      // An assertion of our own, or a client that cannot go on, is a catch as well.
      return seed
    }
  }
  return Number.POSITIVE_INFINITY
}

/** A simulation with one bug in it, built from the real sources: the export `simulate` of `world`, which is in this folder. */
export async function plant(
  { name, file, edits }: Mutant,
  { folder, world, simulate }: { folder: string; world: string; simulate: string },
): Promise<Simulate> {
  const path = join(ROOT, file)
  let source = await readFile(path, 'utf8')
  for (const [find, bug] of edits) {
    if (source.split(find).length !== 2)
      throw new Error(`The mutant "${name}" no longer fits ${file}: find its line again`)
    source = source.replace(find, () => bug)
  }
  const outfile = join(folder, `${name.replaceAll(' ', '-')}.mjs`)
  await build({
    entryPoints: [join(import.meta.dirname, world)],
    bundle: true,
    format: 'esm',
    platform: 'node',
    outfile,
    plugins: [
      {
        name: 'plant',
        setup: ({ onLoad }) =>
          onLoad({ filter: /\.ts$/ }, (load) => (load.path === path ? { contents: source, loader: 'ts' } : undefined)),
      },
    ],
  })
  return ((await import(/* @vite-ignore */ outfile)) as Record<string, Simulate>)[simulate] as Simulate
}
