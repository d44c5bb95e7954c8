// Builds packages/sdk/dist: what is published. In the repository everything imports the sources; a published package has JavaScript.
import { spawnSync } from 'node:child_process'
import { copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { inRoot, main } from './project.mjs'

const PACKAGE = 'packages/sdk'

await main(() => {
  rmSync(inRoot(PACKAGE, 'dist'), { recursive: true, force: true })
  const tsc = inRoot('node_modules/typescript/lib/tsc.js')
  const { status } = spawnSync(process.execPath, [tsc, '-p', `${PACKAGE}/tsconfig.build.json`], {
    cwd: inRoot(),
    stdio: 'inherit',
  })
  if (status !== 0) process.exit(1)
  const { scripts, devDependencies, exports, ...rest } = JSON.parse(
    readFileSync(inRoot(PACKAGE, 'package.json'), 'utf8'),
  )
  const published = { ...rest, exports: Object.fromEntries(Object.entries(exports).map(built)) }
  writeFileSync(inRoot(PACKAGE, 'dist/package.json'), `${JSON.stringify(published, null, 2)}\n`)
  copyFileSync(inRoot('LICENSE'), inRoot(PACKAGE, 'dist/LICENSE'))
})

function built([name, source]) {
  const path = source.replace('./src/', './').replace(/\.ts$/, '')
  return [name, { types: `${path}.d.ts`, default: `${path}.js` }]
}
