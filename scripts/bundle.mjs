// The Worker as one ES module: what `wrangler deploy` would upload, and what stand-alone workerd runs.
import { spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { buildOnce } from './build-once.mjs'
import { Failure, inRoot, privateDir } from './project.mjs'

const INPUTS = ['wrangler.toml', 'package-lock.json', 'packages/edge', 'packages/sdk']

/** Builds if the sources changed. Resolves to the folder that holds `index.js`. */
export function bundleWorker(outDir = join(privateDir, 'bundle')) {
  return buildOnce({ outDir, inputs: INPUTS, build: wrangler })
}

function wrangler(outDir) {
  const noAssets = join(outDir, 'no-assets') // the demo's files are no part of the bundle and need not exist yet
  mkdirSync(noAssets)
  const args = ['deploy', '--dry-run', '--outdir', outDir, '--assets', noAssets]
  const child = spawn(process.execPath, [inRoot('node_modules/wrangler/bin/wrangler.js'), ...args], {
    cwd: inRoot(),
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      CI: 'true',
      MESSKIT_BUNDLE_ONLY: '1',
      WRANGLER_SEND_METRICS: 'false',
      WRANGLER_WRITE_LOGS: 'false',
      NO_COLOR: '1',
    },
  })
  const killed = () => child.kill('SIGKILL')
  process.on('exit', killed)
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (said += text))
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => {
      process.off('exit', killed)
      if (code === 0) resolve()
      else reject(new Failure(`the Worker could not be bundled:\n${said.trim()}`))
    })
  })
}
