import { Ask, type Caller } from '../../packages/edge/src/acl/ask.ts'
import { parse } from '../../packages/edge/src/acl/parse.ts'
import type { Policy } from '../../packages/edge/src/acl/policy.ts'
import type { Random } from '../../test/support/random.ts'

export const USERS = 2_000
const GROUPS = 100
const GROUPS_EACH = 3
const ACTIONS = ['publish', 'subscribe', 'history', 'view'] as const

interface Line {
  readonly permission: 'allow' | 'deny'
  readonly who: string
  readonly action: (typeof ACTIONS)[number]
  readonly name: string
}

export interface LargePolicy {
  readonly policy: Policy
  readonly lines: readonly Line[]
}

/**
 * Rules as a large deployment might have them: some for all, many for groups and single users, over exact names and patterns, with
 * exceptions among them.
 */
export function largePolicy(rules: number, random: Random): LargePolicy {
  const lines = Array.from({ length: rules }, (_, at) => randomLine(at, random))
  const text = lines.map(
    ({ permission, who, action, name }) => `acl ${permission} ${who} ${action} topic name="${name}"`,
  )
  return { policy: parse(text.join('\n'), { dialect: 'native' }), lines }
}

function randomLine(at: number, random: Random): Line {
  const share = random.next()
  return {
    permission: random.next() < 0.2 ? 'deny' : 'allow',
    who: share < 0.05 ? 'all' : share < 0.5 ? `group:g${random.below(GROUPS)}` : `user:u${random.below(USERS)}`,
    action: random.pick(ACTIONS),
    // The number of the line keeps rules apart that would say the same.
    name: random.pick([
      `a${at % 97}/b${at}/c`,
      `a${at % 97}/b${at % 53}/c${at}`,
      `a${at % 89}/x${at}/#`,
      `a${at % 89}/*/y${at}`,
    ]),
  }
}

export interface Question {
  readonly caller: Caller
  readonly ask: Ask
}

/** What lines are about: two thirds asked by one of those they are about, the others by anybody. */
export function someQuestions(count: number, { lines }: LargePolicy, random: Random): Question[] {
  return Array.from({ length: count }, () => {
    const { who, action, name } = random.pick(lines)
    const [kind = '', own = ''] = random.next() < 0.67 ? who.split(':') : []
    const groups = Array.from({ length: GROUPS_EACH }, () => `g${random.below(GROUPS)}`)
    const caller: Caller = {
      user: kind === 'user' ? own : `u${random.below(USERS)}`,
      groups: kind === 'group' ? [own, ...groups.slice(1)] : groups,
      authenticated: true,
    }
    return { caller, ask: new Ask(action, 'topic', { name: name.replace('#', 'z/z').replace('*', 'q') }) }
  })
}
