import { expect, test } from 'vitest'
import { Ask, type Caller } from './ask.ts'
import { Authority, type AuthorityParts, type Capability, may } from './authority.ts'
import { Grants } from './grants.ts'
import { parse } from './parse.ts'
import { ACTION_BITS, ACTIONS, ACTIONS_ON, type Action, GRANT_SCHEMA, OBJECT_KINDS } from './vocabulary.ts'

const rules = (text: string) => parse(text, { dialect: 'native' })
const ana: Caller = { user: 'ana', groups: ['staff'], authenticated: true }
const grants = new Grants(GRANT_SCHEMA, [
  { type: 'topic', name: 'a', group: 'staff', mask: ACTION_BITS.publish | ACTION_BITS.history, since: 40 },
  { type: 'topic', name: 'a/b', group: 'staff', mask: ACTION_BITS.history, since: 7 },
  { type: 'topic', name: undefined, group: 'auditors', mask: ACTION_BITS.history, from: 'all' },
])

function ruling(parts: Partial<AuthorityParts>, action: Action, capabilities?: readonly Capability[]) {
  const authority = new Authority({ deployment: rules(''), ...parts })
  const { effect, by } = authority.decide(authority.bind(ana, capabilities), new Ask(action, 'topic', { name: 'a/b' }))
  return [effect, by]
}

test('rules first, grants second, deny last', () => {
  expect(ruling({}, 'publish')).toEqual(['deny', 'nobody'])
  expect(ruling({ grants: [grants] }, 'publish')).toEqual(['allow', 'grant'])
  expect(ruling({ grants: [grants], deployment: rules('acl deny all publish topic') }, 'publish')).toEqual([
    'deny',
    'deployment',
  ])
  expect(ruling({ grants: [grants], deployment: rules('acl allow all all') }, 'purge')).toEqual(['allow', 'deployment'])
})

test('a topic’s own rules come before the deployment’s, but not before those that must', () => {
  const own = rules('acl allow user:ana publish topic')

  expect(ruling({ own, deployment: rules('acl deny all publish topic') }, 'publish')).toEqual(['allow', 'own'])
  expect(ruling({ own, deployment: rules('acl allow all all\nmust acl deny all publish topic') }, 'publish')).toEqual([
    'deny',
    'must',
  ])
})

test('groups of the deployment count in a topic’s rules and in grants', () => {
  const deployment = rules('group makers user:ana')

  expect(ruling({ deployment, own: rules('acl allow group:makers publish topic') }, 'publish')).toEqual([
    'allow',
    'own',
  ])
  expect(ruling({ deployment: rules('group auditors group:staff'), grants: [grants] }, 'history')).toEqual([
    'allow',
    'grant',
  ])
})

test('capabilities narrow and never widen', () => {
  const deployment = rules('acl allow all publish topic')
  const to = (mask: number, name: string): Capability[] => [{ mask, object: 'topic', name: name.split('/') }]

  expect(ruling({ deployment }, 'publish', [])).toEqual(['deny', 'capability'])
  expect(ruling({ deployment }, 'publish', to(ACTION_BITS.publish, 'a/#'))).toEqual(['allow', 'deployment'])
  expect(ruling({ deployment }, 'publish', to(ACTION_BITS.subscribe, 'a/#'))).toEqual(['deny', 'capability'])
  expect(ruling({ deployment }, 'publish', to(ACTION_BITS.publish, 'a'))).toEqual(['deny', 'capability'])
  expect(ruling({ deployment }, 'subscribe', to(0xffff, '#'))).toEqual(['deny', 'nobody'])
})

test('rights are what deciding action by action says', () => {
  const deployment = rules(
    'must acl deny-log all purge topic\nacl allow all publish, subscribe topic limit-rate=5/s limit-bytes=9\nacl allow user:ana connect server',
  )
  const authority = new Authority({ deployment, grants: [grants] })
  const bearer = authority.bind(ana)

  for (const kind of OBJECT_KINDS) {
    const name = kind === 'server' ? undefined : 'a/b'
    const { mask } = authority.rights(bearer, kind, name)
    for (const action of ACTIONS) {
      const { effect } = authority.decide(bearer, new Ask(action, kind, name === undefined ? {} : { name }))
      expect(may(mask, action), `${action} ${kind}`).toBe(ACTIONS_ON[kind].includes(action) && effect === 'allow')
    }
  }
  const rights = authority.rights(bearer, 'topic', 'a/b')
  expect(rights.log).toBe(ACTION_BITS.purge)
  expect(rights.limits.publish?.map(({ kind }) => kind)).toEqual(['rate', 'usage'])
  expect(rights.limits.subscribe).toBeUndefined()
  expect(JSON.parse(JSON.stringify(rights))).toEqual(rights)
})

test('history has the widest bound that is granted', () => {
  const rightsOf = (caller: Caller, parts: Partial<AuthorityParts> = {}) => {
    const authority = new Authority({ deployment: rules(''), grants: [grants], ...parts })
    return authority.rights(authority.bind(caller), 'topic', 'a/b').history
  }

  expect(rightsOf(ana)).toEqual({ by: 'grant', from: 'grant', since: 7 })
  expect(rightsOf({ ...ana, groups: ['staff', 'auditors'] })).toEqual({ by: 'grant', from: 'all' })
  expect(rightsOf({ ...ana, groups: [] })).toBeUndefined()
  expect(rightsOf(ana, { deployment: rules('acl allow all history topic') })).toMatchObject({
    by: 'deployment',
    from: 'grant',
  })
  expect(rightsOf(ana, { own: rules('acl allow all history topic from=all') })).toMatchObject({
    by: 'own',
    from: 'all',
  })
})

test('what is asked without a name is granted by what is about all', () => {
  const named = new Grants(GRANT_SCHEMA, [{ type: 'topic', name: 'topic', group: 'staff', mask: 0xffff }])
  const authority = new Authority({ deployment: rules(''), grants: [named] })

  expect(authority.decide(authority.bind(ana), new Ask('create', 'topic')).effect).toBe('deny')
})

test('bits stay where they are', () => {
  expect(ACTIONS.map((action) => [action, ACTION_BITS[action]])).toEqual(
    [
      'publish',
      'subscribe',
      'view',
      'history',
      'presence',
      'announce',
      'enqueue',
      'work',
      'peek',
      'create',
      'delete',
      'purge',
      'change',
      'grant',
      'connect',
      'admin',
    ].map((action, at) => [action, 1 << at]),
  )
})
