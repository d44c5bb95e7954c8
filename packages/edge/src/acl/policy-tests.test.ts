import { expect, test } from 'vitest'
import { ACL_BOUNDS } from './bounds.ts'
import { parse } from './parse.ts'
import { testPolicy } from './policy-tests.ts'

const policy = parse('acl deny user:eve all\nacl allow all publish topic', { dialect: 'native' })
const request = { user: 'ana', action: 'publish', object: 'topic', properties: { name: 'a' } }

test('a policy’s own tests pass, or say what differs', () => {
  const tests = [
    { id: 'ana', request, expect: 'allow' },
    { id: 'eve', request: { ...request, user: 'eve' }, expect: 'allow' },
    { id: 'nobody may read', request: { ...request, action: 'subscribe' }, final: 'deny' },
    { id: 'not logged', request, expect: 'allow', log: true },
  ]

  expect(testPolicy(policy, tests)).toEqual([
    { id: 'eve', message: 'expect is deny and should be allow' },
    { id: 'not logged', message: 'log is false and should be true' },
  ])
})

test.each([
  [7],
  [{}],
  [{ request }],
  [{ request: 7, expect: 'allow' }],
  [{ request: { ...request, user: 7 }, expect: 'allow' }],
])('a test %j fails, whatever it is', (broken) => {
  expect(testPolicy(policy, [broken])).toHaveLength(1)
})

test('there are not too many', () => {
  const tests = Array.from({ length: ACL_BOUNDS.testsPerPolicy + 1 }, () => ({ request, expect: 'allow' }))

  expect(() => testPolicy(policy, tests)).toThrow('testsPerPolicy')
})
