// What the documentation takes from source files beside their values: the comments in front of exported objects and their members.
import { readFileSync } from 'node:fs'
import { parseSync } from 'oxc-parser'
import { inRoot } from './project.mjs'

/**
 * Doc comments of the exported constants of a file, and of the members of those that are objects, schemas included.
 * @param {string} path
 * @returns {Map<string, { doc: string, members: Map<string, string> }>}
 */
export function docsOf(path) {
  const text = readFileSync(inRoot(path), 'utf8')
  const { program, comments, errors } = parseSync(path, text)
  if (errors.length > 0) throw new Error(`${path}: ${errors[0].message}`)
  const docBefore = (start) => {
    const comment = comments.find(
      ({ type, end }) => type === 'Block' && end <= start && /^\n? *$/.test(text.slice(end, start)),
    )
    return comment?.value.startsWith('*') ? plain(comment.value) : ''
  }
  const found = new Map()
  for (const node of program.body) {
    if (node.type !== 'ExportNamedDeclaration' || node.declaration?.type !== 'VariableDeclaration') continue
    for (const { id, init } of node.declaration.declarations) {
      const members = membersOf(init).map(({ key, start }) => [key.name, docBefore(start)])
      found.set(id.name, { doc: docBefore(node.start), members: new Map(members) })
    }
  }
  return found
}

/** The members of `{…}`, `{…} as const`, `v.object({…})`. */
function membersOf(init) {
  if (init?.type === 'ObjectExpression') return init.properties.filter(({ type }) => type === 'Property')
  if (init?.type === 'CallExpression') return membersOf(init.arguments[0])
  return init?.expression === undefined ? [] : membersOf(init.expression)
}

function plain(comment) {
  const lines = comment.split('\n').map((line) => line.replace(/^\s*\*\s?/, '').trim())
  return lines
    .join(' ')
    .trim()
    .replace(/\{@link (?:\w+\.)?(\w+)\}/g, '`$1`')
}

/** A table in Markdown. */
export function table(head, rows) {
  const line = (cells) => `| ${cells.map((cell) => String(cell).replaceAll('|', '\\|')).join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

/** Whoever adds a code or a bound without saying what to do about it is told so. */
export function assertSame(what, { described, existing }) {
  const missing = existing.filter((name) => !described.includes(name))
  const gone = described.filter((name) => !existing.includes(name))
  if (missing.length > 0) throw new Error(`${what}: nothing is said about ${missing.join(', ')}`)
  if (gone.length > 0) throw new Error(`${what}: ${gone.join(', ')} does not exist any more`)
}
