// Installs the packages when they are missing or do not fit the lock file.
import { existsSync, readFileSync } from 'node:fs'
import { npm } from './npm.mjs'
import { Failure, inRoot } from './project.mjs'

export async function ensureInstalled(node) {
  const lock = readLock('package-lock.json')
  if (lock !== undefined && isCurrent(lock, readLock('node_modules/.package-lock.json'))) return
  console.error(
    'messkit: installing the packages (about 170 MB to download, 510 MB on disk, one to three minutes), once.',
  )
  // Not `npm ci`: it refuses a lock file that lacks other systems' optional packages. This takes the same versions and writes no lock file.
  const { code, stderr } = await npm(node, ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error'])
  if (code === 0) return
  if (stderr !== '') console.error(stderr.trim())
  throw new Failure(
    `npm install failed: check the network and the free disk space (600 MB), then run the same command again.`,
  )
}

/**
 * Whether what is installed is what the lock file says. npm writes the installed lock file last, so a broken install has none.
 * @param {Lock} lock
 * @param {Lock | undefined} installed
 * @typedef {{ packages: Record<string, { version?: string, link?: boolean, optional?: boolean, peer?: boolean }> }} Lock
 */
export function isCurrent(lock, installed) {
  if (installed === undefined) return false
  return Object.entries(lock.packages).every(([path, wanted]) => {
    if (!path.startsWith('node_modules/') && !path.includes('/node_modules/')) return true // a workspace itself
    const found = installed.packages[path]
    if (found === undefined) return wanted.optional === true // for another system
    return found.version === wanted.version && found.link === wanted.link
  })
}

function readLock(path) {
  const file = inRoot(path)
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined
}
