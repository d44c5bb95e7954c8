import { expect, test } from 'vitest'
import { Ask, type Caller } from './ask.ts'
import { explain, explainRuling } from './explain.ts'
import { Grants } from './grants.ts'
import { parse } from './parse.ts'
import { ACTION_BITS, GRANT_SCHEMA } from './vocabulary.ts'

const ana: Caller = { user: 'ana', groups: ['guests'], authenticated: true }
const publish = (name: string): Ask => new Ask('publish', 'topic', { name })
const policy = parse(
  [
    'acl deny all subscribe topic',
    'acl allow user:ben publish topic',
    'acl allow user:ana publish topic name="news/#" network=10.0.0.0/8',
    'acl deny-log group:guests publish topic name="shop/#"',
    'acl allow all publish topic limit-bytes=5',
  ].join('\n'),
  { dialect: 'native' },
)

test('tells which rules were tried, what did not hold, and which decided', () => {
  const explained = explain(policy, ana, publish('shop/a'))

  expect(explained.steps).toEqual([
    { line: 2, rule: 'acl allow user:ben publish topic', outcome: 'not matched', because: 'identity' },
    {
      line: 3,
      rule: 'acl allow user:ana publish topic name="news/#" network=10.0.0.0/8',
      outcome: 'not matched',
      because: 'name',
    },
    { line: 4, rule: 'acl deny-log group:guests publish topic name="shop/#"', outcome: 'matched' },
  ])
  expect(explained.sentence).toBe(
    'publish topic "shop/a" is denied by line 4, acl deny-log group:guests publish topic name="shop/#": the first to match of 3 rules that were tried.',
  )
  expect(explained.decision).toMatchObject({ effect: 'deny', log: true })
})

test.each([
  [
    new Ask('publish', 'topic', { name: 'x', usage: { bytes: 9 } }),
    'publish topic "x" is denied: line 5, acl allow all publish topic limit-bytes=5, allows it, but not so much.',
  ],
  [
    new Ask('history', 'topic', { name: 'x' }),
    'history topic "x" is left open: no rule is about it. If nobody else decides, it is denied.',
  ],
  [new Ask('publish', 'topic', { name: '#' }), 'publish topic "#" is denied: this is not a name.'],
  [
    new Ask('subscribe', 'topic'),
    'subscribe topic is denied by line 1, acl deny all subscribe topic: the first to match of one rule that was tried.',
  ],
])('%o', (ask, sentence) => {
  expect(explain(policy, ana, ask).sentence).toBe(sentence)
})

test('a look-up that failed is told', () => {
  const rules = parse('ACL ALLOW ann ACCESS VIRTUALHOST from_hostname=gate', { dialect: 'broker-j' })
  const { sentence, steps } = explain(
    rules,
    { user: 'ann', groups: [], authenticated: true, hostname: null },
    new Ask('access', 'virtualhost'),
  )

  expect(steps.at(-1)).toMatchObject({ outcome: 'unknown', because: 'hostname' })
  expect(sentence).toContain('is denied: line 1, ')
})

test('layer by layer, up to the one that decided', () => {
  const grants = new Grants(GRANT_SCHEMA, [{ type: 'topic', name: 'shop', group: 'guests', mask: ACTION_BITS.history }])
  const own = parse('acl deny user:ben all', { dialect: 'native' })
  const ask = (action: string) =>
    explainRuling(
      { deployment: policy, own, grants: [grants] },
      { caller: ana, ask: new Ask(action, 'topic', { name: 'shop/a' }) },
    )

  expect(ask('publish').layers.map(({ layer }) => layer)).toEqual(['must', 'own', 'deployment'])
  expect(ask('publish').sentence).toMatch(/is denied by line 4, .* The rule is one of the deployment's\.$/)
  expect(ask('history').sentence).toBe(
    'history topic "shop/a" is allowed: no rule decides, and it is granted to guests on shop.',
  )
  expect(ask('purge').sentence).toBe('purge topic "shop/a" is denied: no rule and no grant allows it.')
})

test('tells what a rule allows no more than', () => {
  const limited = parse('acl allow all publish, subscribe topic limit-rate=5/m limit-bytes=9 limit-subscriptions=2', {
    dialect: 'native',
  })

  expect(explain(limited, ana, publish('shop/a')).sentence).toMatch(
    / It is limited to limit-rate=5\/m and limit-bytes=9\.$/,
  )
  expect(explain(limited, ana, new Ask('subscribe', 'topic')).sentence).toMatch(/ limited to limit-subscriptions=2\.$/)
})
