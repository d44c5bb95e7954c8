// Builds the demo's page: once per state of its sources for `npm start`, and into packages/demo/dist for wrangler, which runs
// this file before it deploys.
import { join } from 'node:path'
import { build } from 'vite'
import { buildOnce } from './build-once.mjs'
import { inRoot, isEntry, main, privateDir } from './project.mjs'

const INPUTS = ['package-lock.json', 'packages/demo', 'packages/sdk']

/** Builds if the sources changed. Resolves to the folder that holds `index.html`. */
export function buildDemo(outDir = join(privateDir, 'demo')) {
  return buildOnce({ outDir, inputs: INPUTS, build: vite })
}

async function vite(outDir) {
  await build({ root: inRoot('packages/demo'), logLevel: 'warn', build: { outDir, emptyOutDir: true } })
}

// Who bundles the Worker alone has no use for the page.
if (isEntry(import.meta) && process.env.MESSKIT_BUNDLE_ONLY === undefined) {
  await main(() => vite(inRoot('packages/demo/dist')))
}
