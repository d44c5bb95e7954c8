import type { Random } from '../support/random.ts'

/** The placeholders of the policies, which are none of TypeScript's. */
const [USER, DOMAIN, USER_DOMAIN] = ['user', 'domain', 'userdomain'].map((word) => `\${${word}}`) as [
  string,
  string,
  string,
]

export type RuleDialect = 'native' | 'broker-j' | 'cpp'

/**
 * Policies and requests out of few words, so that rules meet requests and each other often. Lines are valid one by one; some
 * combinations are not, and are left out by whoever parses.
 */
export function randomLines(
  dialect: RuleDialect,
  random: Random,
  { count, about }: { count: number; about: Pairs },
): string[] {
  return Array.from({ length: count }, () => LINES[dialect](random, about))
}

export type Pairs = readonly (readonly [action: string, object: string])[]

/** Few of the actions and objects, so that the rules of one policy and the requests to it are about the same. */
export function somePairs(dialect: RuleDialect, random: Random): Pairs {
  return some(random, 1, 2, () => random.pick(PAIRS[dialect]))
}

export function randomRequest(dialect: RuleDialect, random: Random, about: Pairs): Record<string, unknown> {
  const [action, object] = random.pick(maybe(random, 0.9) ? about : PAIRS[dialect])
  const properties = Object.fromEntries(
    PROPERTIES[dialect].filter(() => maybe(random, 0.8)).map(([name, make]) => [name, make(random)] as const),
  )
  return {
    user: maybe(random, 0.9) ? random.pick(USERS[dialect]) : null,
    groups: GROUPS.filter(() => maybe(random, 0.25)),
    action: maybe(random, 0.98) ? action : 'frobnicate',
    object: maybe(random, 0.98) ? object : 'teapot',
    properties,
    ...(maybe(random, 0.7) ? { ip: random.pick(ADDRESSES) } : {}),
    ...(maybe(random, 0.5) ? { hostname: random.pick(['gate', 'desk7.shop', null]) } : {}),
    ...(maybe(random, 0.1) ? { authenticated: false } : {}),
    ...(dialect === 'native' && maybe(random, 0.2) ? { issuer: random.pick(ISSUERS) } : {}),
    usage: {
      connections: random.below(4),
      queues: random.below(3),
      bytes: random.below(200),
      subscriptions: random.below(3),
      depth: random.below(9),
    },
  }
}

const GROUPS = ['g1', 'g2', 'g3', 'u1']
const ISSUERS = ['https://a.example', 'https://b.example']
const ADDRESSES = ['10.0.0.1', '10.1.2.3', '192.168.7.1', '::ffff:10.0.0.1', 'fc00::1', 'fc00::ff', 'no address']
const USERS: Readonly<Record<RuleDialect, readonly string[]>> = {
  native: ['u1', 'u2', 'a', 'b', '#', 'a/b', 'all', 'owner', 'group:g1', '__proto__'],
  'broker-j': ['u1', 'u2', 'g1', 'all', 'owner', 'constructor'],
  cpp: ['u1@A', 'u2@B.C', 'b@A', 'u3', 'a', '*', 'all', 'user@A'],
}

const WORDS = ['a', 'b', 'c', 'ab']
const dotted = (random: Random): string =>
  some(random, maybe(random, 0.9) ? 1 : 0, maybe(random, 0.7) ? 2 : 4, () =>
    random.pick(maybe(random, 0.8) ? ['a', 'b'] : [...WORDS, '', 'u1_A', 'u1', 'A']),
  ).join('.')
const named = (random: Random): string =>
  maybe(random, 0.95)
    ? some(random, 1, maybe(random, 0.7) ? 2 : 4, () => random.pick(maybe(random, 0.8) ? ['a', 'b'] : WORDS)).join('/')
    : random.pick(['', 'a//b', 'a/*', '#', '_x', 'a/'])

const PAIRS: Readonly<Record<RuleDialect, Pairs>> = {
  native: [
    ['publish', 'topic'],
    ['subscribe', 'topic'],
    ['history', 'topic'],
    ['change', 'topic'],
    ['enqueue', 'queue'],
    ['change', 'queue'],
    ['connect', 'server'],
    ['create', 'topic'],
  ],
  'broker-j': [
    ['publish', 'exchange'],
    ['consume', 'queue'],
    ['update', 'queue'],
    ['create', 'queue'],
    ['access', 'virtualhost'],
    ['update', 'exchange'],
  ],
  cpp: [
    ['publish', 'exchange'],
    ['bind', 'exchange'],
    ['create', 'queue'],
    ['create', 'connection'],
    ['delete', 'queue'],
    ['create', 'exchange'],
    ['move', 'queue'],
  ],
}

type Property = readonly [name: string, make: (random: Random) => unknown]
const PROPERTIES: Readonly<Record<RuleDialect, readonly Property[]>> = {
  native: [
    ['name', named],
    ['created_by', (random) => random.pick(['u1', 'u2', 'a'])],
    ['created_by_issuer', (random) => random.pick([null, null, 'https://a.example'])],
    ['attributes', (random) => ['retention', 'schema', 'x'].filter(() => maybe(random, 0.5))],
  ],
  'broker-j': [
    ['name', dotted],
    ['routing_key', dotted],
    ['durable', (random) => random.pick([true, false, 'true', 'x'])],
    ['virtualhost_name', (random) => random.pick(WORDS)],
    ['created_by', (random) => random.pick(['u1', 'u2'])],
    ['attributes', (random) => WORDS.filter(() => maybe(random, 0.3))],
  ],
  cpp: [
    ['name', (random) => random.pick([dotted(random), '', 'amq.default', USER, 'u1', 'u2_B_C'])],
    ['routingkey', (random) => random.pick([dotted(random), dotted(random), USER, `a.${DOMAIN}`])],
    ['queuename', (random) => random.pick([...WORDS, 'u1_A'])],
    ['alternate', (random) => random.pick([...WORDS, USER])],
    ['durable', (random) => maybe(random, 0.5)],
    ['maxqueuesize', (random) => random.pick([0, 5, 10, -1, 'many', 1e21])],
    ['maxqueuecount', (random) => random.below(12)],
  ],
}

const LINES: Readonly<Record<RuleDialect, (random: Random, about: Pairs) => string>> = {
  native: nativeLine,
  'broker-j': brokerLine,
  cpp: cppLine,
}

const PERMISSIONS = ['allow', 'allow-log', 'deny', 'deny-log']

function nativeLine(random: Random, about: Pairs): string {
  if (maybe(random, 0.1))
    return `group ${random.pick(GROUPS)} ${some(random, 0, 3, () => random.pick(['user:u1', 'user:u2', 'group:g1', 'group:g2', 'group:g3', '"user:#"'])).join(' ')}`
  const who = random.pick([
    'all',
    'owner',
    'user:u1',
    'user:u2',
    'user:a',
    '"user:#"',
    'group:g1',
    'group:g2',
    'group:g3',
    'group:u1',
  ])
  const permission = random.pick(PERMISSIONS)
  const [action, object] = maybe(random, 0.7)
    ? random.pick(about)
    : [random.pick(['all', 'publish, subscribe', 'change']), random.pick(['all', 'topic', 'queue'])]
  const properties = [
    ...(maybe(random, 0.7) && object !== 'server' ? [`name=${listed(random, nativePattern)}`] : []),
    ...(maybe(random, 0.1) && object !== 'server' ? [`starts-with="${random.pick(['a', 'a/b', 'ab', 'b/'])}"`] : []),
    ...(maybe(random, 0.2)
      ? [`network=${listed(random, () => random.pick(['10.0.0.0/8', '10.1.*', '*', 'fc00::/16', '192.168.7.1']))}`]
      : []),
    ...(maybe(random, 0.15) ? [`issuer=${listed(random, () => random.pick(ISSUERS))}`] : []),
    ...(maybe(random, 0.5) && action === 'change' ? ['attributes="retention,schema"'] : []),
    ...(maybe(random, 0.3) && permission.startsWith('allow') ? [nativeLimit(random, action)] : []),
  ]
  return `${maybe(random, 0.1) ? 'must ' : ''}acl ${permission} ${who} ${action} ${object} ${properties.join(' ')}`
}

function nativeLimit(random: Random, action: string): string {
  const limits: Record<string, string> = {
    publish: `limit-bytes=${random.below(150)}`,
    subscribe: `limit-subscriptions=${random.below(3)}`,
    history: `limit-depth=${random.below(8)} from=${random.pick(['all', 'grant'])}`,
    connect: `limit-connections=${random.below(4)}`,
    enqueue: `limit-rate=${1 + random.below(9)}/s`,
    all: 'limit-bytes=100',
  }
  return limits[action] ?? ''
}

function nativePattern(random: Random): string {
  return `"${some(random, 1, maybe(random, 0.7) ? 2 : 4, () => random.pick(['a', 'b', ...WORDS, '*', '#', USER])).join('/')}"`
}

function brokerLine(random: Random, about: Pairs): string {
  if (maybe(random, 0.03)) return `CONFIG default${random.pick(['allow', 'deny', 'defer'])}=true`
  const [action, object] = maybe(random, 0.8)
    ? random.pick(about)
    : ['ALL', random.pick(['ALL', 'QUEUE', 'EXCHANGE', ''])]
  const text = () => `"${random.pick([dotted(random), `${dotted(random)}*`, '*', ''])}"`
  const properties = [
    ...(maybe(random, 0.6) ? [`name=${listed(random, text)}`] : []),
    ...(maybe(random, 0.4) ? [`routingKey=${listed(random, text)}`] : []),
    ...(maybe(random, 0.15) ? [`durable=${random.pick(['true', 'false', 'tr*', '*', 'no'])}`] : []),
    ...(maybe(random, 0.15) ? [`virtualhost_name=${random.pick(WORDS)}`] : []),
    ...(maybe(random, 0.1)
      ? ['from_network="10.0.0.0/8,192.168.*"']
      : maybe(random, 0.1)
        ? ['from_hostname="gate,.*[.]shop"']
        : []),
    ...(maybe(random, 0.2) ? [`attributes="${some(random, 1, 2, () => random.pick(WORDS)).join(',')}"`] : []),
  ]
  const number = maybe(random, 0.3) ? `${random.below(40)} ` : ''
  const who = random.pick(['all', 'owner', 'u1', 'u2', 'g1', 'g2', 'g3'])
  return `${number}ACL ${random.pick(PERMISSIONS)} ${who} ${action} ${object} ${object === '' ? '' : properties.join(' ')}`
}

function cppLine(random: Random, about: Pairs): string {
  if (maybe(random, 0.1))
    return `group ${random.pick(GROUPS)} ${some(random, 1, 3, () => random.pick(['u1@A', 'u2@B.C', 'b@A', 'g1', 'g2'])).join(' ')}`
  if (maybe(random, 0.1))
    return `quota ${random.pick(['connections', 'queues'])} ${random.below(4)} ${random.pick(['all', 'u1@A', 'g1', 'u3'])}`
  const who = random.pick(['all', 'u1@A', 'u2@B.C', 'b@A', 'u3', 'g1', 'g2', '*'])
  const [action, object] = maybe(random, 0.8)
    ? random.pick(about)
    : [random.pick(['all', 'create']), random.pick(['all', 'exchange', 'queue', ''])]
  if (object === 'connection')
    return `acl ${random.pick(PERMISSIONS)} ${who} create connection host=${random.pick(['all', '10.0.0.1', '10.0.0.0,10.255.255.255', '[fc00::],fc00::ff'])}`
  const text = () =>
    random.pick([dotted(random), `${dotted(random)}*`, '*', 'amq.default', USER, `${USER_DOMAIN}*`, 'x'])
  const properties = [
    ...(maybe(random, 0.5) ? [`name=${text()}`] : []),
    ...(maybe(random, 0.5) && object === 'exchange'
      ? [`routingkey=${some(random, 1, 4, () => random.pick([...WORDS, '*', '#', USER, USER_DOMAIN])).join('.')}`]
      : []),
    ...(maybe(random, 0.2) ? [`queuename=${text()}`] : []),
    ...(maybe(random, 0.2) ? [`durable=${random.pick(['true', 'false', 't*'])}`] : []),
    ...(maybe(random, 0.2) && object === 'queue'
      ? [`queuemaxsize${random.pick(['upper', 'lower'])}limit=${random.pick([0, 5, 10])}`]
      : []),
    ...(maybe(random, 0.1) && object === 'queue' ? [`maxqueuecount=${random.below(9)}`] : []),
  ].filter((property) => !property.endsWith('='))
  const all = who === 'all' && action === 'all'
  return `acl ${random.pick(PERMISSIONS)} ${who} ${action} ${all || object === '' ? '' : `${object} ${properties.join(' ')}`}`
}

function maybe(random: Random, share: number): boolean {
  return random.next() < share
}

function some<T>(random: Random, least: number, most: number, make: () => T): T[] {
  return Array.from({ length: least + random.below(most - least + 1) }, make)
}

function listed(random: Random, make: (random: Random) => string): string {
  const values = some(random, 1, 3, () => make(random))
  return values.length === 1 ? (values[0] as string) : `[${values.join(', ')}]`
}
