// Type-checks every part under the library types of its home; a part that uses what its home lacks does not compile.
import { spawnSync } from 'node:child_process'
import { inRoot, main } from './project.mjs'

const PROJECTS = [
  'packages/sdk/tsconfig.core.json',
  'packages/sdk/tsconfig.json',
  'packages/edge/tsconfig.json',
  'packages/demo/tsconfig.json',
  'packages/demo/tsconfig.worker.json',
  'tsconfig.json',
  'test/tsconfig.workerd.json',
  'test/tsconfig.browser.json',
]
const NOTHING_TO_CHECK = 'error TS18003'

await main(() => {
  const failed = PROJECTS.filter((project) => !passes(project))
  if (failed.length > 0) process.exit(1)
  console.log(`types: ${PROJECTS.length} projects`)
})

function passes(project) {
  const tsc = inRoot('node_modules/typescript/lib/tsc.js')
  const { status, stdout, stderr } = spawnSync(process.execPath, [tsc, '-p', project, '--pretty', 'false'], {
    cwd: inRoot(),
    encoding: 'utf8',
  })
  if (status === 0 || stdout.startsWith(NOTHING_TO_CHECK)) return true
  console.error(`${project}\n${stdout}${stderr}`)
  return false
}
