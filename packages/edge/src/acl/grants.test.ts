import { expect, test } from 'vitest'
import { readGrantPolicy } from './grant-policy.ts'
import { type GrantRow, type GrantSchema, Grants, grantedNaively } from './grants.ts'

const schema: GrantSchema = {
  actions: ['publish', 'subscribe', 'view'],
  types: new Map([
    ['topic', { separator: '.' }],
    ['queue', { separator: undefined }],
  ]),
}

test('looking rows up gives what looking at each of them gives', () => {
  const names = [undefined, 'a', 'a.b', 'a.b.c', 'b', 'ab', 'a.*', '__proto__']
  const rows: GrantRow[] = names.flatMap((name, at) =>
    ['g', 'h', '__proto__'].flatMap((group, nth) =>
      ['topic', 'queue'].map((type) => ({ type, name, group, mask: (at * 3 + nth) % 8 })),
    ),
  )
  const asked = [...names, '', '.', 'a.', 'a..b', 'a.b.c.d', 'abc', 'constructor', 'c']
  for (let skip = 0; skip < rows.length; skip++) {
    const some = rows.filter((_, at) => at % 7 !== skip % 7)
    const grants = new Grants(schema, some)
    for (const type of ['topic', 'queue', 'toString']) {
      for (const name of asked) {
        for (const groups of [[], ['g'], ['h', 'g', 'g'], ['__proto__']]) {
          const ask = { groups, type, name }
          expect(grants.granted(ask), JSON.stringify(ask)).toBe(grantedNaively(schema, some, ask))
        }
      }
    }
  }
})

test('bits are taken away where they were given, and nowhere else', () => {
  const row = { type: 'topic', name: 'a', group: 'g', mask: 0b111 }
  const grants = new Grants(schema, [row, { ...row, name: undefined, mask: 0b001 }])
  const left = () => grants.granted({ groups: ['g'], type: 'topic', name: 'a' })

  grants.remove({ ...row, mask: 0b011 })
  expect(left()).toBe(0b101)
  grants.remove({ ...row, name: 'a.b' })
  expect(left()).toBe(0b101)
  grants.remove(row)
  expect(left()).toBe(0b001)
  expect([...grants.rows()]).toEqual([{ ...row, name: undefined, mask: 0b001 }])
})

test.each([
  ['sport', 'sport.#', true],
  ['sport', 'sport', true],
  ['sport', 'sport.*.x', true],
  ['sport', '#', false],
  ['sport', '*', false],
  ['sport', '#.sport', false],
  ['sport.golf', 'sport.*', false],
  ['sport.golf', 'sport.#.golf', false],
  ['sport.*', 'sport.*', false],
  [undefined, '#', true],
  [undefined, 'a..b', false],
])('with rights on %s one may subscribe to %s: %s', (name, pattern, expected) => {
  const grants = new Grants(schema, [{ type: 'topic', name, group: 'g', mask: 0b010 }])

  expect(grants.grantsPattern({ groups: ['g'], type: 'topic', name: pattern }, 0b010)).toBe(expected)
  expect(grants.grantsPattern({ groups: ['g'], type: 'topic', name: pattern }, 0b001)).toBe(false)
})

const policy = {
  actions: ['p', 's'],
  resourceTypes: { topic: { hierarchical: true } },
  directory: { ana: ['A'] },
  administrators: ['A'],
}

test.each([
  [null],
  [[]],
  [{ ...policy, actions: ['p', 'p'] }],
  [{ ...policy, actions: Array.from({ length: 32 }, (_, at) => `a${at}`) }],
  [{ ...policy, resourceTypes: [] }],
  [{ ...policy, resourceTypes: { topic: { hierarchical: true, separator: '' } } }],
  [{ ...policy, directory: { ana: 'A' } }],
  [{ ...policy, administrators: [7] }],
  [{ ...policy, global: [{ type: 'topic', name: 'x', group: 'A', permission: '11' }] }],
  [{ ...policy, resources: [{ type: 'topic', group: 'A', permission: '11' }] }],
  [{ ...policy, resources: [{ type: 'topic', name: ' ', group: 'A', permission: '11' }] }],
  [{ ...policy, resources: [{ type: 'topic', name: 'x', group: '', permission: '11' }] }],
  [{ ...policy, resources: [{ type: 'toString', name: 'x', group: 'A', permission: '11' }] }],
  [{ ...policy, resources: [{ type: 'topic', name: 'x', group: 'A', permission: 11 }] }],
  [{ ...policy, resources: [{ type: 'topic', name: 'x', group: 'A', permission: '1x' }] }],
  [{ ...policy, resources: [{ type: 'topic', name: 'x', group: 'A', permission: '11', from: 'now' }] }],
  [{ ...policy, resources: [{ type: 'topic', name: 'x', group: 'A', permission: '11', since: -1 }] }],
  [{ ...policy, resources: 7 }],
])('%j is refused', (json) => {
  expect(() => readGrantPolicy(json)).toThrow(expect.objectContaining({ code: 'policy_invalid' }))
})

test('names of the prototype are names like any other', () => {
  const read = readGrantPolicy(
    JSON.parse(
      '{"actions":["p"],"resourceTypes":{"topic":{}},"directory":{"__proto__":["A"]},"global":[{"type":"topic","group":"A","permission":"1"}]}',
    ),
  )
  const ask = (user: string) => read.decide({ user, action: 'p', type: 'topic', name: 'x', isPattern: false })

  expect(['__proto__', 'constructor', 'toString'].map(ask)).toEqual(['allow', 'deny', 'deny'])
})

test.each([[7], [null], [{}], [{ by: 'ana' }], [{ by: 'ana', op: 'join', user: 'x' }], [{ by: 'ana', op: 'grant' }]])(
  'an act %j changes nothing',
  (step) => {
    const read = readGrantPolicy(policy)

    expect(read.act(step)).not.toBe('allow')
    expect([...read.grants.rows()]).toEqual([])
  },
)
