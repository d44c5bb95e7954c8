import { expect, test } from 'vitest'
import { ACL_BOUNDS } from './bounds.ts'
import { PolicyError } from './errors.ts'
import { type Dialect, parse } from './parse.ts'

const refusal = (text: string, dialect: Dialect = 'native'): PolicyError => {
  try {
    parse(text, { dialect })
  } catch (error) {
    if (error instanceof PolicyError) return error
    throw error
  }
  throw new Error('it was taken')
}

test('one error names every bad line, the first one first', () => {
  const error = refusal('acl allow all publish teapot\nacl allow all\nacl allow all publish topic\nrule')

  expect(error).toMatchObject({ code: 'policy_invalid', retryable: false, kind: 'unknown-object', line: 1 })
  expect(error.problems.map(({ kind, line }) => [kind, line])).toEqual([
    ['unknown-object', 1],
    ['too-few-tokens', 2],
    ['unknown-line', 4],
  ])
  expect(error.message).toBe('line 1: objects are all, topic, queue, server')
})

test('an error quotes nothing of the policy', () => {
  const secret = 'Hunter2'
  const lines = [
    'SECRET',
    'acl SECRET all all',
    'acl allow SECRET all',
    'acl allow all SECRET',
    'acl allow all all SECRET',
  ]
  const more = ['acl allow all all all SECRET=1', 'acl allow all publish topic name="SECRET//x"', 'group SECRET SECRET']

  for (const dialect of ['native', 'broker-j', 'broker-j-limits', 'cpp'] as const) {
    for (const line of [...lines, ...more]) {
      let message = ''
      try {
        parse(line.replaceAll('SECRET', secret), { dialect })
      } catch (error) {
        message = JSON.stringify(error) + (error as Error).message
      }
      expect(message.toLowerCase()).not.toContain(secret.toLowerCase())
    }
  }
})

test('there are no other dialects', () => {
  expect(refusal('', 'toString' as Dialect).kind).toBe('unknown-dialect')
})

const rules = (count: number, line: (at: number) => string): string =>
  Array.from({ length: count }, (_, at) => line(at)).join('\n')

test.each<[string, string, Dialect]>([
  ['policyChars', ' '.repeat(ACL_BOUNDS.policyChars + 1), 'native'],
  ['policyChars', ' '.repeat(ACL_BOUNDS.policyChars + 1), 'broker-j'],
  ['policyChars', ' '.repeat(ACL_BOUNDS.policyChars + 1), 'cpp'],
  ['lines', rules(ACL_BOUNDS.lines + 1, () => 'CONFIG a=b'), 'broker-j'],
  ['rules', rules(ACL_BOUNDS.rules + 1, (at) => `acl allow all publish topic name=a${at}`), 'native'],
  ['rules', rules(ACL_BOUNDS.rules + 1, (at) => `acl allow all publish exchange name=a${at}`), 'broker-j'],
  ['rules', rules(ACL_BOUNDS.rules + 1, () => 'acl allow all publish exchange'), 'cpp'],
  ['rules', rules(ACL_BOUNDS.rules + 1, () => 'CLT a connection_limit=1'), 'broker-j-limits'],
  ['groups', rules(ACL_BOUNDS.groups + 1, (at) => `group g${at}`), 'native'],
  ['groups', rules(ACL_BOUNDS.groups + 1, (at) => `group g${at} a@B`), 'cpp'],
  ['members', rules(ACL_BOUNDS.groups, (at) => `group g${at}${' user:a'.repeat(65)}`), 'native'],
  [
    'groupDepth',
    rules(ACL_BOUNDS.groupDepth + 2, (at) => `group g${at} ${at === 0 ? 'user:a' : `group:g${at - 1}`}`),
    'native',
  ],
  ['groupDepth', rules(ACL_BOUNDS.groupDepth + 2, (at) => `group g${at} ${at === 0 ? 'a@B' : `g${at - 1}`}`), 'cpp'],
  ['tokensPerLine', `acl ${'a '.repeat(ACL_BOUNDS.tokensPerLine)}`, 'native'],
  ['valueChars', `acl allow all publish topic name=${'a'.repeat(ACL_BOUNDS.valueChars + 1)}`, 'native'],
  [
    'valuesPerProperty',
    `acl allow all publish topic name=[${'a, '.repeat(ACL_BOUNDS.valuesPerProperty + 1)}]`,
    'native',
  ],
  ['patternLevels', `acl allow all publish exchange routingkey=${'a.'.repeat(ACL_BOUNDS.patternLevels + 1)}`, 'cpp'],
])('%s is a bound', (name, text, dialect) => {
  expect(refusal(text, dialect)).toMatchObject({ kind: 'too-much', message: expect.stringContaining(name) })
})

test.each<[Dialect, number]>([
  ['native', ACL_BOUNDS.lineChars],
  ['broker-j', ACL_BOUNDS.lineChars],
  ['broker-j-limits', ACL_BOUNDS.lineChars],
  ['cpp', ACL_BOUNDS.cppLineChars],
])('%s: a line has at most %d characters', (dialect, most) => {
  expect(refusal(`\n#${'x'.repeat(most)}`, dialect)).toMatchObject({ kind: 'line-too-long', line: 2 })
  expect(refusal(`\n#${'x'.repeat(most)}\n`, dialect)).toMatchObject({ kind: 'line-too-long', line: 2 })
  expect(parse(`#${'x'.repeat(most - 1)}`, { dialect })).toBeDefined()
})

test('lines end as they do anywhere', () => {
  for (const end of ['\n', '\r\n', '\r']) {
    const policy = parse(['acl allow all publish topic', '', 'acl allow all subscribe topic'].join(end), {
      dialect: 'native',
    })
    expect(policy.rules.map(({ line }) => line)).toEqual([1, 3])
  }
})

/** What stands behind `limit-`, and what is wrong with it. */
test.each([
  ['rate=0/s', 'bad-property-value'],
  ['rate=-1/s', 'bad-property-value'],
  ['rate=1.5/s', 'bad-property-value'],
  ['rate=1e3/s', 'bad-property-value'],
  ['rate=NaN/s', 'bad-property-value'],
  ['rate=10', 'bad-property-value'],
  ['rate=10/', 'bad-property-value'],
  ['rate=/m', 'bad-property-value'],
  ['rate=10/d', 'bad-property-value'],
  ['rate=10/M', 'bad-property-value'],
  ['rate=10/m/m', 'bad-property-value'],
  ['rate="10 / m"', 'bad-property-value'],
  ['rate=10/0.5m', 'bad-property-value'],
  ['rate=9007199254740993/s', 'bad-property-value'],
  [`rate=${ACL_BOUNDS.rateCount + 1}/s`, 'too-much'],
  ['bytes=-1', 'bad-property-value'],
  ['bytes=NaN', 'bad-property-value'],
  ['bytes=Infinity', 'bad-property-value'],
  ['bytes=0x10', 'bad-property-value'],
  ['bytes="1_000"', 'bad-property-value'],
  ['bytes=9007199254740993', 'bad-property-value'],
  ['bytes=٣', 'bad-property-value'],
  ['bytes=1 limit_bytes=1', undefined],
  ['bytes=1 limit-bytes=2', 'duplicate-property'],
  ['bytes=[1, 2]', 'duplicate-property'],
  ['bytes=', 'property-no-value'],
  ['depth=10', 'impossible-property'],
  ['speed=10', 'unknown-property'],
  ['toString=10', 'unknown-property'],
  ['bytes=0', undefined],
  ['bytes=999999999999999', undefined],
  ['rate=1/h', undefined],
  [`rate=${ACL_BOUNDS.rateCount}/s`, undefined],
])('limit-%s is %s, and the line is told', (limit, kind) => {
  const text = `# first\nacl allow all publish topic limit-${limit}`

  if (kind === undefined) expect(() => parse(text, { dialect: 'native' })).not.toThrow()
  else expect(refusal(text)).toMatchObject({ kind, line: 2 })
})

test('connections are limited to what can be counted', () => {
  const most = (count: number): string => `acl allow all connect server limit-connections-per-address=${count}`

  expect(refusal(most(ACL_BOUNDS.connections + 1))).toMatchObject({ kind: 'too-much', line: 1 })
  expect(() => parse(most(ACL_BOUNDS.connections), { dialect: 'native' })).not.toThrow()
  expect(refusal('acl deny all connect server limit-connections=1')).toMatchObject({ kind: 'impossible-property' })
})
