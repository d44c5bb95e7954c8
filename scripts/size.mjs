// What an import costs its user: bundled, minified and gzipped, against a budget per entry.
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { inRoot, isEntry, main } from './project.mjs'

// `goalBytes` is what the design asks for and `budgetBytes` what nobody may pass until it is reached (docs/decisions/0011-sizes.md):
// it is only ever lowered.
const BUDGETS = [
  { entry: '@messkit/sdk/remote', goalBytes: 8_000, budgetBytes: 13_600 },
  { entry: '@messkit/sdk', goalBytes: 15_000, budgetBytes: 32_000 },
]

/** Resolves to the entry's size and whether it keeps within its budget. */
export async function check({ entry, budgetBytes }) {
  const { outputFiles } = await build({
    stdin: { contents: `export * from '${entry}'`, resolveDir: inRoot('packages/demo') },
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2024',
    legalComments: 'none',
    write: false,
    logLevel: 'error',
  })
  const bytes = gzipSync(outputFiles[0].contents, { level: 9 }).length
  return { entry, bytes, budgetBytes, fits: bytes <= budgetBytes }
}

if (isEntry(import.meta)) {
  await main(async () => {
    const results = await Promise.all(BUDGETS.map(check))
    for (const [i, { entry, bytes, budgetBytes, fits }] of results.entries()) {
      const line = `${entry.padEnd(22)} ${String(bytes).padStart(7)} of ${budgetBytes} bytes, goal ${BUDGETS[i].goalBytes}`
      console.log(fits ? line : `${line} TOO LARGE`)
    }
    if (!results.every(({ fits }) => fits)) process.exit(1)
  })
}
