import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { build } from 'esbuild'
import type { Mutant } from '../mutants.ts'

const ROOT = resolve(import.meta.dirname, '../../..')

/** The simulated tabs as one file, in which the SDK's globals are those of the simulated pages, and perhaps a planted bug. */
export async function bundle(folder: string, mutant?: Mutant): Promise<typeof import('./world.ts')> {
  const path = mutant && join(ROOT, mutant.file)
  const planted = mutant && plant(mutant, await readFile(join(ROOT, mutant.file), 'utf8'))
  const outfile = join(folder, `${(mutant?.name ?? 'tabs').replaceAll(' ', '-')}.cjs`)
  await build({
    entryPoints: [join(import.meta.dirname, 'world.ts')],
    bundle: true,
    format: 'cjs',
    platform: 'node',
    outfile,
    sourcemap: 'inline',
    inject: [join(import.meta.dirname, 'globals.ts')],
    define: {
      'Date.now': 'dateNow',
      'performance.now': 'performanceNow',
      'Math.random': 'mathRandom',
      globalThis: 'pageGlobals',
    },
    plugins: [
      {
        name: 'plant',
        setup: ({ onLoad }) =>
          onLoad({ filter: /\.ts$/ }, (load) =>
            load.path === path && planted !== undefined ? { contents: planted, loader: 'ts' } : undefined,
          ),
      },
    ],
  })
  // Past the test runner, which would transform it once more.
  return createRequire(import.meta.url)(outfile) as typeof import('./world.ts')
}

function plant({ name, file, edits }: Mutant, source: string): string {
  return edits.reduce((text, [find, planted]) => {
    if (text.split(find).length !== 2)
      throw new Error(`The mutant "${name}" no longer fits ${file}: find its line again`)
    return text.replace(find, () => planted)
  }, source)
}
