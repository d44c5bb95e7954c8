// Builds into a folder named after a hash of the sources, so that an unchanged source is built once, and two runs at the same
// time never see half of each other's work.
import { createHash, randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { inRoot } from './project.mjs'

const SKIPPED = new Set(['node_modules', 'dist', '.turbo', '.wrangler'])
const KEPT = 4

/**
 * Resolves to the folder.
 * @param {object} options
 * @param {string} options.outDir the folder of folders
 * @param {readonly string[]} options.inputs files and folders of the repository that the result depends on
 * @param {(draft: string) => Promise<void>} options.build writes the result into an empty folder
 * @returns {Promise<string>}
 */
export async function buildOnce({ outDir, inputs, build }) {
  const target = join(outDir, hashOf(inputs))
  if (existsSync(target)) return target
  const draft = join(outDir, `draft-${randomUUID()}`)
  mkdirSync(draft, { recursive: true })
  try {
    await build(draft)
    renameSync(draft, target)
  } catch (error) {
    rmSync(draft, { recursive: true, force: true })
    if (!existsSync(target)) throw error // otherwise somebody who built beside us was first, with the same sources
  }
  prune(outDir)
  return target
}

function hashOf(inputs) {
  const hash = createHash('sha256')
  for (const path of inputs.flatMap((input) => filesUnder(input)).sort()) {
    hash
      .update(`${path}\0`)
      .update(readFileSync(inRoot(path)))
      .update('\0')
  }
  return hash.digest('hex').slice(0, 16)
}

function filesUnder(path) {
  if (!existsSync(inRoot(path))) return []
  if (!statSync(inRoot(path)).isDirectory()) return [path]
  return readdirSync(inRoot(path)).flatMap((name) => (SKIPPED.has(name) ? [] : filesUnder(`${path}/${name}`)))
}

function prune(outDir) {
  const age = (name) => statSync(join(outDir, name), { throwIfNoEntry: false })?.mtimeMs ?? 0
  const built = readdirSync(outDir).filter((name) => !name.startsWith('draft-'))
  const newestFirst = built.sort((a, b) => age(b) - age(a))
  for (const name of newestFirst.slice(KEPT)) rmSync(join(outDir, name), { recursive: true, force: true })
}
