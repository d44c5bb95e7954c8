// The tables of docs/reference/bad-input.md: the rules that every case of the hostile corpus is held to.
import { ERRORS } from '../packages/sdk/src/protocol/error-codes.ts'
import { RULES } from '../test/hostile/rules.ts'
import { table } from './docs-source.mjs'

export function answerTables() {
  return Object.entries(RULES)
    .map(([title, rules]) => {
      const rows = Object.values(rules).map(({ when, answer }) => [when, words(answer)])
      return `## ${title}\n\n${table(['what comes', 'what is answered'], rows)}`
    })
    .join('\n\n')
}

const code = (name) => `[\`${name}\`](errors.md#${name})`
const closing = (name) => ERRORS[name].close

const WORDS = {
  status: (status, { error }) => `HTTP ${status}${error ? `, ${code(error)}` : ''}`,
  turnedAway: (name) => `the socket opens, says ${code(name)} and closes with ${closing(name)}; no object is made`,
  opens: () => 'the link opens and works',
  error: (name) => `error ${code(name)}; the link goes on`,
  closed: (name) => `${code(name)} is told, and the link is closed with ${closing(name)}`,
  refused: (name) => `the message is refused, ${code(name)}; what stands before it is stored`,
  taken: () => 'a result, as for any other',
  ignored: () => 'nothing',
  closeCode: (number) => `closed with ${number}`,
  ended: () => 'the connection ends',
}

function words(answer) {
  const [[kind, value]] = Object.entries(answer)
  return WORDS[kind](value, answer)
}
