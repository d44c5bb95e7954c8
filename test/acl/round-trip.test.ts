import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { PolicyError } from '../../packages/edge/src/acl/errors.ts'
import { format } from '../../packages/edge/src/acl/format.ts'
import { type Dialect, parse } from '../../packages/edge/src/acl/parse.ts'
import { generator, type Random } from '../support/random.ts'
import { randomPolicy } from './equivalence.ts'
import { type RuleDialect, randomLines, somePairs } from './random-policy.ts'

const POLICIES = 500
const TEXTS = 4_000
const DIALECTS: readonly RuleDialect[] = ['native', 'broker-j', 'cpp']

test.each(DIALECTS)('%s: what was formatted reads as the same rules', (dialect) => {
  const random = generator(`acl-round-trip-${dialect}`)

  for (let made = 0; made < POLICIES; made++) {
    const { policy, text } = randomPolicy(dialect, random)
    const formatted = format(policy)
    const again = parse(formatted, { dialect })
    expect(meaningOf(again), `${random.seed}\n${text}\n---\n${formatted}`).toEqual(meaningOf(policy))
    expect(format(again), random.seed).toBe(formatted)
  }
})

test('every vector’s policy survives formatting', () => {
  for (const name of ['acl-v2.json', 'native.json']) {
    const { vectors } = JSON.parse(readFileSync(new URL(`./vectors/${name}`, import.meta.url), 'utf8'))
    for (const { id, rules, dialects, request } of vectors) {
      for (const dialect of request === null ? [] : dialects) {
        const policy = parse(rules, { dialect })
        expect(meaningOf(parse(format(policy), { dialect })), id).toEqual(meaningOf(policy))
      }
    }
  }
})

/** All but where it stood. Automata of host names hold functions; their source says it. */
function meaningOf(policy: unknown): unknown {
  const seen = (_: string, value: unknown) => {
    if (value instanceof Map) return [...value]
    if (value instanceof Set) return [...value]
    return typeof value === 'bigint' ? `${value}n` : value
  }
  const strip = (key: string, value: unknown) =>
    ['line', 'statements', 'notes', 'number'].includes(key) ? undefined : seen(key, value)
  return JSON.parse(JSON.stringify(policy, strip))
}

test.each<Dialect>(['native', 'broker-j', 'broker-j-limits', 'cpp'])(
  '%s: whatever is read is read or refused with a line, and nothing else happens',
  (dialect) => {
    const random = generator(`acl-fuzz-${dialect}`)

    let read = 0
    for (let made = 0; made < TEXTS; made++) {
      const text = randomText(dialect, random)
      try {
        parse(text, { dialect })
        read++
      } catch (error) {
        if (!(error instanceof PolicyError)) throw new Error(`${random.seed} ${JSON.stringify(text)}`, { cause: error })
        expect(error.line, random.seed).toBeGreaterThanOrEqual(0)
        expect(error.line, random.seed).toBeLessThanOrEqual(text.split(/\r\n|\r|\n/).length)
      }
    }

    expect(read).toBeGreaterThan(TEXTS / 100)
  },
)

const PIECES = [
  ...[
    'acl',
    'ACL',
    'must',
    'group',
    'quota',
    'CONFIG',
    'CLT',
    'BLOCK',
    'allow',
    'deny-log',
    'all',
    'owner',
    'user:a',
    'g',
    'a@B',
  ],
  ...[
    'publish',
    'create',
    'topic',
    'queue',
    'connection',
    'exchange',
    'name',
    '=',
    '[',
    ']',
    ',',
    '"',
    "'",
    '#',
    '\\',
    '\n',
    '\r\n',
    ' ',
    '\t',
  ],
  ...[
    '*',
    '/',
    '.',
    '7',
    '-1',
    '__proto__',
    'constructor',
    '\0',
    '\u202e',
    '\ud800',
    'é',
    'connection_limit=1/P1D',
    'host=::1',
    'network=1.2.3.4/8',
  ],
]

/** Lines that could be, with pieces put in, taken out and moved. */
function randomText(dialect: Dialect, random: Random): string {
  const like = dialect === 'broker-j-limits' ? 'broker-j' : dialect
  const lines = randomLines(like, random, { count: random.below(4), about: somePairs(like, random) }).join('\n')
  let text = random.next() < 0.5 ? lines : ''
  for (let edits = random.below(6); edits > 0; edits--) {
    const at = random.below(text.length + 1)
    const cut = random.next() < 0.4 ? random.below(8) : 0
    text = text.slice(0, at) + random.pick(PIECES) + (random.next() < 0.5 ? ' ' : '') + text.slice(at + cut)
  }
  return text
}
