// The tables of docs/reference/attacks.md: each case, and where it is tried or what will bring it.
import { ATTACKS } from '../test/attacks/table.ts'
import { table } from './docs-source.mjs'

const KINDS = {
  A: 'Names',
  B: 'Patterns',
  C: 'Second doors',
  D: 'Identity and tokens',
  E: 'Rules that change',
  F: 'Limits',
  G: 'History',
}

export function attackTables() {
  return Object.entries(KINDS)
    .map(([kind, title]) => {
      const rows = ATTACKS.filter(({ id }) => id.startsWith(kind)).map(({ id, what, tests = [], later }) => [
        id,
        what,
        later === undefined ? [...new Set(tests.map(([file]) => link(file)))].join(', ') : `comes with ${later}`,
      ])
      return `### ${title}\n\n${table(['case', 'what is tried', 'tried in'], rows)}`
    })
    .join('\n\n')
}

const link = (file) => `[${file.split('/').at(-1)}](../../${file})`
