import { expect, test } from 'vitest'
import { Ask, type Caller } from './ask.ts'
import { ACL_BOUNDS } from './bounds.ts'
import { CompiledPolicy } from './compile.ts'
import { parse } from './parse.ts'

const publish = new Ask('publish', 'topic', { name: 'a' })
const compile = (text: string) => new CompiledPolicy(parse(text, { dialect: 'native' }))

function effect(policy: CompiledPolicy, caller: Partial<Caller>): string {
  return policy.decide(policy.bind({ user: 'ana', groups: [], authenticated: true, ...caller }), publish).effect
}

test('who is in thousands of groups is found by the one that counts', () => {
  const policy = compile('acl allow group:g4999 publish topic')
  const groups = Array.from({ length: 5_000 }, (_, at) => `g${at}`)

  expect(effect(policy, { groups })).toBe('allow')
  expect(effect(policy, { groups: groups.slice(0, 4_999) })).toBe('defer')
})

test('more groups than the bound are refused, not cut', () => {
  const groups = Array.from({ length: ACL_BOUNDS.groupsPerCaller + 1 }, (_, at) => `g${at}`)

  expect(() => effect(compile(''), { groups })).toThrow('groupsPerCaller')
})

test('no name of a user or group is taken for another one', () => {
  const policy = compile(
    'acl allow group:staff publish topic\nacl allow user:ana publish topic issuer=https://a.example',
  )

  for (const user of ['staff', 'group:staff', 'all', 'owner', '__proto__', 'user:ana', 'https://a.example\nana'])
    expect(effect(policy, { user }), user).toBe('defer')
  expect(effect(policy, { user: '@https://a.example\nana' })).toBe('defer')
  expect(effect(policy, { issuer: 'https://a.example' })).toBe('allow')
  expect(effect(policy, { groups: ['user:ana', 'all', 'staff\n'] })).toBe('defer')
})

test('many rules about one name are found by whom they are about', () => {
  const lines = Array.from(
    { length: 500 },
    (_, at) => `acl ${at % 2 ? 'allow' : 'deny'} user:u${at} publish topic name=a`,
  )
  const policy = compile(`${lines.join('\n')}\nacl allow all publish topic name=a`)

  expect(['u7', 'u8', 'ana'].map((user) => effect(policy, { user }))).toEqual(['allow', 'deny', 'allow'])
})
