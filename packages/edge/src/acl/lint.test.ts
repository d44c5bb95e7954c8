import { expect, test } from 'vitest'
import { lint } from './lint.ts'
import { type Dialect, parse } from './parse.ts'
import type { Policy } from './policy.ts'

const found = (text: string, dialect: Dialect = 'native', options?: { groups: string[] }) =>
  lint(parse(text, { dialect }) as Policy, options).map(({ kind, line, because }) => [kind, line, because])

test.each([
  ['acl allow all publish topic\nacl allow user:ana publish topic name=a', [['dead-rule', 2, 1]]],
  ['acl allow all publish topic\nacl deny user:ana publish topic name=a', [['shadowed-deny', 2, 1]]],
  ['acl allow all publish topic name="a/#"\nacl deny all publish topic name="a/*/b"', [['shadowed-deny', 2, 1]]],
  ['acl allow all publish topic name="a/*"\nacl deny all publish topic name="a/#"', []],
  ['acl deny all publish topic name=a\nacl allow all publish topic', []],
  ['group staff user:ana\nacl allow group:staff all\nacl deny user:ana publish topic', [['shadowed-deny', 3, 2]]],
  ['group staff user:ana\nacl allow user:ana all\nacl deny group:staff publish topic', []],
  ['acl allow all publish topic network=10.0.0.0/8\nacl allow all publish topic network=10.1.*', [['dead-rule', 2, 1]]],
  // Where the address is not known, the second decides and the first does not.
  ['acl allow all publish topic network=10.0.0.0/8\nacl deny all publish topic network=10.1.*', []],
  ['acl allow all publish, subscribe topic\nacl deny all subscribe topic', [['shadowed-deny', 2, 1]]],
  ['acl allow all publish topic limit-bytes=5\nacl deny all publish topic name=a', [['shadowed-deny', 2, 1]]],
  ['acl allow all all all\nacl allow all publish topic limit-rate=5/s', [['dead-rule', 2, 1]]],
  [
    'acl allow all publish topic limit-rate=5/s\nacl allow user:ana publish topic limit-rate=50/s',
    [['dead-rule', 2, 1]],
  ],
  ['acl allow all publish topic starts-with=a/\nacl deny all publish topic starts-with=a/b', [['shadowed-deny', 2, 1]]],
  ['acl allow all publish topic name=a\nmust acl deny all publish topic', [['dead-rule', 1, 2]]],
  [`acl allow all publish topic name="\${user}"\nacl deny all publish topic name="*"`, []],
  [`acl allow all publish topic name="*"\nacl deny all publish topic name="\${user}"`, [['shadowed-deny', 2, 1]]],
  ['acl allow all change topic attributes="a,b"\nacl deny all change topic attributes=a', [['shadowed-deny', 2, 1]]],
])('%j', (text, findings) => {
  expect(found(text)).toEqual(findings)
})

test('a group that nobody knows is told, in rules and in groups', () => {
  const text = 'group staff group:interns\nacl deny group:stuff all\nacl allow group:staff all'

  expect(found(text)).toEqual([
    ['unknown-group', 1, undefined],
    ['unknown-group', 2, undefined],
  ])
  expect(found(text, 'native', { groups: ['interns', 'stuff'] })).toEqual([])
})

test('what the other dialects take silently is told', () => {
  expect(found('acl allow all create queue exchangename=x\nacl deny staff consume queue', 'cpp')).toEqual([
    ['impossible-pair', 1, undefined],
    ['unknown-group', 2, undefined],
  ])
  expect(found('ACL ALLOW all PUBLISH EXCHANGE routingKey=a.#\nACL DENY owner CREATE QUEUE', 'broker-j')).toEqual([
    ['unquoted-hash', 1, undefined],
    ['dropped-rule', 2, undefined],
  ])
  expect(found('ACL ALLOW all ALL QUEUE\nACL DENY all ALL QUEUE', 'broker-j')).toEqual([
    ['duplicate-rule', 2, undefined],
  ])
  expect(found('ACL ALLOW all ACCESS VIRTUALHOST from_hostname="a\\.b"', 'broker-j')).toEqual([
    ['eaten-backslash', 1, undefined],
  ])
})

test('a line of several rules is dead when all of them are', () => {
  expect(found('acl allow all create queue\nacl deny u@A create all name=x', 'cpp')).toEqual([])
  expect(found('acl allow all create queue\nacl deny u@A create queue name=x', 'cpp')).toEqual([
    ['shadowed-deny', 2, 1],
  ])
})

test('it says which rule is in the way', () => {
  const [finding] = lint(parse('ACL allow ALL publish topic\nacl deny user:ana publish topic', { dialect: 'native' }))

  expect(finding?.message).toBe('this never denies: line 1 allows it before, acl allow all publish topic')
})
