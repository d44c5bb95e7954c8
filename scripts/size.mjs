// What an import costs its user: bundled, minified and gzipped, against a budget per entry.
import { basename } from 'node:path'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { inRoot, isEntry, main } from './project.mjs'

// `goalBytes` is what the design asks for and `budgetBytes` what nobody may pass until it is reached (docs/decisions/0011-sizes.md):
// it is lowered whenever something gets lighter, and raised only for what users get, with a line there.
const BUDGETS = [
  { entry: '@messkit/sdk/remote', goalBytes: 8_000, budgetBytes: 14_600 },
  { entry: '@messkit/sdk/admin', goalBytes: 2_000, budgetBytes: 2_000 },
  { entry: '@messkit/sdk', goalBytes: 15_000, budgetBytes: 26_600 },
  // What it adds where there is a client.
  { entry: '@messkit/sdk/cipher', beside: '@messkit/sdk/remote', goalBytes: 2_000, budgetBytes: 2_000 },
  { entry: '@messkit/sdk/queue', beside: '@messkit/sdk/remote', goalBytes: 5_000, budgetBytes: 5_000 },
]

/** Resolves to the entry's size and whether it keeps within its budget. */
export async function check({ entry, beside = '', budgetBytes }) {
  const { bytes, laterBytes } = await weigh(beside ? [beside, entry] : [entry])
  const added = beside ? bytes - (await weigh([beside])).bytes : bytes
  return { entry, bytes: added, laterBytes, budgetBytes, fits: added <= budgetBytes }
}

async function weigh(entries) {
  const contents = entries.map((entry) => `export * from '${entry}'`).join('\n')
  const { metafile, outputFiles } = await build({
    stdin: { contents, resolveDir: inRoot('packages/demo') },
    bundle: true,
    minify: true,
    format: 'esm',
    splitting: true,
    outdir: 'out',
    metafile: true,
    target: 'es2024',
    legalComments: 'none',
    write: false,
    logLevel: 'error',
  })
  const sizes = new Map(
    outputFiles.map(({ path, contents }) => [basename(path), gzipSync(contents, { level: 9 }).length]),
  )
  const total = [...sizes.values()].reduce((sum, size) => sum + size, 0)
  const bytes = [...loadedAtOnce(metafile)].reduce((sum, path) => sum + sizes.get(basename(path)), 0)
  return { bytes, laterBytes: total - bytes }
}

/** The entry's chunk and those that it imports when it is loaded itself; `import()` brings the others when they are needed. */
function loadedAtOnce({ outputs }) {
  const [entry] = Object.entries(outputs).find(([, { entryPoint }]) => entryPoint === '<stdin>')
  const chunks = new Set([entry])
  for (const chunk of chunks)
    for (const { path, kind } of outputs[chunk].imports) if (kind === 'import-statement') chunks.add(path)
  return chunks
}

if (isEntry(import.meta)) {
  await main(async () => {
    const results = await Promise.all(BUDGETS.map(check))
    for (const [i, { entry, bytes, laterBytes, budgetBytes, fits }] of results.entries()) {
      const line = `${entry.padEnd(22)} ${String(bytes).padStart(7)} of ${budgetBytes} bytes, goal ${BUDGETS[i].goalBytes}`
      const later = laterBytes > 0 ? `, ${laterBytes} more when needed` : ''
      console.log(line + later + (fits ? '' : ' TOO LARGE'))
    }
    if (!results.every(({ fits }) => fits)) process.exit(1)
  })
}
