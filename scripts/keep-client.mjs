// Keeps the client as it is published now: one file in test/faults/clients, named after its version, which versions.test.ts lets run
// beside the client of the sources for as long as servers are to understand it. Part of every release, after its version is set:
// `node scripts/keep-client.mjs`. The file of a version that was released is never built again.
import { readFileSync } from 'node:fs'
import { build } from 'esbuild'
import { inRoot, main } from './project.mjs'

await main(async () => {
  const { version } = JSON.parse(readFileSync(inRoot('packages/sdk/package.json'), 'utf8'))
  const outfile = inRoot('test/faults/clients', `${version}.mjs`)
  await build({
    stdin: { contents: "export { createMess } from '@messkit/sdk/remote'", resolveDir: inRoot('packages/demo') },
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2024',
    legalComments: 'none',
    outfile,
    logLevel: 'error',
  })
  console.log(outfile)
})
