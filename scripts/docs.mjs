// Writes those parts of the documentation that come from elsewhere: tables from the source, figures from the bench, snippets from
// docs/examples. `node scripts/docs.mjs` writes them; test/docs.test.ts fails while one is stale.
import { globSync, readFileSync, writeFileSync } from 'node:fs'
import { answerTables } from './docs-answers.mjs'
import { attackTables } from './docs-attacks.mjs'
import { errorTables } from './docs-errors.mjs'
import { limitTables, shortLimits } from './docs-limits.mjs'
import { campaigns, faults, hostile, invariants, plantedBugs } from './docs-promises.mjs'
import { frameTables, queueTables, replay } from './docs-protocol.mjs'
import { figures, sizes } from './docs-readme.mjs'
import { inRoot, isEntry, main } from './project.mjs'

const PAGES = ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'docs/**/*.md']
const EXAMPLES = 'docs/examples'

/** By the name in the page: `<!-- begin: limits -->` … `<!-- end: limits -->`. */
const SECTIONS = {
  answers: answerTables,
  attacks: attackTables,
  campaigns,
  errors: errorTables,
  faults,
  hostile,
  invariants,
  'planted bugs': plantedBugs,
  limits: limitTables,
  'short limits': shortLimits,
  frames: frameTables,
  'queue frames': queueTables,
  figures,
  sizes,
}
const SECTION = /(<!-- begin: ([\w ]+?)(?: \(.*?\))? -->\n)([\s\S]*?)(\n<!-- end: \2 -->)/g

/** A block of TypeScript and the region it is a copy of: `<!-- example: readme#sample -->`. */
const SNIPPET = /^(<!-- example: ([\w-]+)#([\w-]+) -->\n```ts\n)(?:(?!```)[^\n]*\n)*(```)$/gm

export const pages = () =>
  globSync(PAGES, { cwd: inRoot() })
    .map((file) => file.replaceAll('\\', '/'))
    .sort()

/** A page as it should be. */
export function render(page, text) {
  const filled = text
    .replace(SECTION, (_, begin, name, current, end) => {
      if (!Object.hasOwn(SECTIONS, name)) throw new Error(`${page}: there is no section "${name}"`)
      return `${begin}${SECTIONS[name](current)}${end}`
    })
    .replace(SNIPPET, (_, begin, file, region, end) => `${begin}${regionOf(`${EXAMPLES}/${file}.ts`, region)}\n${end}`)
  return page === 'docs/reference/protocol.md' ? replay(filled) : filled
}

/** The lines between `// #region <name>` and `// #endregion`, moved to the left edge. */
export function regionOf(file, name) {
  const lines = readFileSync(inRoot(file), 'utf8').split('\n')
  const start = lines.findIndex((line) => line.trim() === `// #region ${name}`)
  const length = lines.slice(start + 1).findIndex((line) => line.trim() === '// #endregion')
  if (start === -1 || length === -1) throw new Error(`${file} has no region "${name}"`)
  const region = lines.slice(start + 1, start + 1 + length)
  const indent = Math.min(...region.filter((line) => line !== '').map((line) => line.search(/\S/)))
  return region
    .map((line) => line.slice(indent))
    .join('\n')
    .trim()
}

if (isEntry(import.meta)) {
  await main(() => {
    for (const page of pages()) {
      const text = readFileSync(inRoot(page), 'utf8')
      const rendered = render(page, text)
      if (rendered === text) continue
      writeFileSync(inRoot(page), rendered)
      console.log(`written: ${page}`)
    }
  })
}
