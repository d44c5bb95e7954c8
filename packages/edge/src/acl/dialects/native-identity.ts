import { ACL_BOUNDS } from '../bounds.ts'
import { consistsOf } from '../characters.ts'
import { refuse } from '../errors.ts'
import { groupKey, userKey } from '../identities.ts'
import type { Token } from '../lexer.ts'

const GROUP_CHARS = 64

export function isGroupName(name: string): boolean {
  return name.length <= GROUP_CHARS && consistsOf(name, '-_.')
}

export function memberKey({ text, line }: Token): string {
  return keyOf(text, undefined, line) ?? refuse('bad-identity', line, 'a member is user:name or group:name')
}

/** Of `user:ana` or `group:staff`. */
export function keyOf(text: string, issuer: string | undefined, line: number): string | undefined {
  const colon = text.indexOf(':')
  const [kind, name] = [text.slice(0, Math.max(colon, 0)).toLowerCase(), text.slice(colon + 1)]
  if (kind === 'group')
    return isGroupName(name) ? groupKey(name) : refuse('bad-group-name', line, 'there are no groups of such names')
  if (kind !== 'user') return undefined
  if (name === '' || name.length > ACL_BOUNDS.identityChars)
    refuse('bad-user-name', line, `a user's name has 1 to ${ACL_BOUNDS.identityChars} characters`)
  return userKey(name, issuer)
}
