import { ACL_BOUNDS } from '../bounds.ts'
import { consistsOf, isDigits, isPlainText } from '../characters.ts'
import { bound, refuse } from '../errors.ts'
import { groupKey, userKey } from '../identities.ts'
import { EVERYBODY } from '../quotas.ts'
import type { PropertyStatement, QuotaStatement, RuleStatement } from '../statements.ts'
import { ACTIONS, ALIASES, LIMITS, OBJECTS, PERMISSIONS, TEXTS } from './cpp-words.ts'

const MOST_QUOTA = 65_530

/** What a policy of the C++ broker says, line by line. */
export class CppLines {
  readonly rules: RuleStatement[] = []
  readonly groups = new Map<string, { line: number; members: string[] }>()
  readonly quotas: QuotaStatement[] = []
  /** Whom a rule is about is settled where it stands: a group that is defined later is not meant. */
  readonly groupsAt = new Map<RuleStatement | QuotaStatement, ReadonlySet<string>>()
  #continued: string | undefined
  #members = 0

  read(text: string, line: number): void {
    const isText = text !== '' && text !== '\r' && !text.startsWith('#')
    if (text.length > ACL_BOUNDS.cppLineChars)
      refuse('line-too-long', line, `a line has more than ${ACL_BOUNDS.cppLineChars} characters`)
    if (!isText) return
    const { tokens, isContinued } = readTokens(text, line)
    const group = this.#continued
    this.#continued = undefined
    if (group !== undefined) this.#addMembers(group, tokens, line)
    else if (tokens.length > 0) this.#readLine(tokens, line, isContinued)
    if (isContinued) this.#continued = group ?? tokens[1]
  }

  isGroup(name: string): boolean {
    return this.groups.has(name)
  }

  #readLine(tokens: readonly string[], line: number, isContinued: boolean): void {
    if (tokens[0] === 'group') {
      this.#readGroup(tokens, line, isContinued)
      return
    }
    if (tokens[0] !== 'acl' && tokens[0] !== 'quota')
      refuse('unknown-line', line, 'a line begins with group, acl or quota')
    if (isContinued) refuse('unexpected-continuation', line, 'only lines of groups go on on the next line')
    if (tokens[0] === 'acl') this.rules.push(readRule(tokens, line))
    else this.quotas.push(readQuota(tokens, line))
    bound('rules', this.rules.length + this.quotas.length, line)
    const statement = (tokens[0] === 'acl' ? this.rules : this.quotas).at(-1) as RuleStatement | QuotaStatement
    const named = statement.kind === 'rule' ? [statement.identity] : statement.identities
    this.groupsAt.set(statement, new Set(named.filter((name) => name !== EVERYBODY && this.isGroup(name))))
  }

  #readGroup([, name, ...members]: readonly string[], line: number, isContinued: boolean): void {
    if (name === undefined || (members.length === 0 && !isContinued))
      refuse('too-few-tokens', line, 'a group has a name and members')
    if (!isGroupName(name)) refuse('bad-group-name', line, 'a group is named with letters, digits, - and _')
    if (this.isGroup(name)) refuse('duplicate-group', line, 'a group of this name is defined already')
    this.groups.set(name, { line, members: [] })
    bound('groups', this.groups.size, line)
    this.#addMembers(name, members, line)
  }

  #addMembers(name: string, members: readonly string[], line: number): void {
    const group = this.groups.get(name)
    if (!group) return
    for (const member of members) {
      if (isGroupName(member)) {
        if (member === name) continue
        if (!this.isGroup(member))
          refuse('undefined-group', line, 'a member is no group yet; users are written name@realm')
        group.members.push(groupKey(member))
      } else {
        if (!isUserName(member))
          refuse('bad-user-name', line, 'a user is written name@realm, with letters, digits, - _ . @ /')
        group.members.push(userKey(member))
      }
    }
    this.#members += members.length
    bound('members', this.#members, line)
  }
}

/** A backslash continues a line; only blanks may stand behind it. */
function readTokens(text: string, line: number): { tokens: string[]; isContinued: boolean } {
  const parts = text.split('\\')
  const isContinued = parts.length > 1
  const [tokens = [], ...behind] = parts.map((part) => splitBlanks(part))
  if (isContinued && (parts.length > 2 || behind.some((more) => more.length > 0) || tokens.length === 0))
    refuse('unexpected-continuation', line, 'a backslash continues the line of a group and stands at its end')
  bound('tokensPerLine', tokens.length, line)
  if (!tokens.every(isPlainText))
    refuse('bad-character', line, 'a character is invisible, a control, or not in composed form (NFC)')
  return { tokens, isContinued }
}

function splitBlanks(text: string): string[] {
  const tokens: string[] = []
  let start = -1
  for (let at = 0; at <= text.length; at++) {
    const isBlank = at === text.length || BLANKS.includes(text[at] as string)
    if (!isBlank && start < 0) start = at
    if (isBlank && start >= 0) {
      tokens.push(text.slice(start, at))
      start = -1
    }
  }
  return tokens
}

const BLANKS = ' \t\n\f\v\r'

function readRule(tokens: readonly string[], line: number): RuleStatement {
  const [, permission, identity, action, object, ...pairs] = tokens
  if (permission === undefined || identity === undefined || action === undefined)
    refuse('too-few-tokens', line, 'a rule is written acl permission identity action')
  if (!PERMISSIONS.has(permission))
    refuse('unknown-permission', line, 'a rule permits allow, allow-log, deny or deny-log')
  if (action === EVERYBODY && identity === EVERYBODY && object !== undefined)
    refuse('tokens-after-all', line, 'the default of the rules is acl … all all and no more')
  if (action !== EVERYBODY && !ACTIONS.has(action))
    refuse('unknown-action', line, `actions are all, ${[...ACTIONS].join(', ')}`)
  if (object !== undefined && object !== EVERYBODY && !OBJECTS.has(object))
    refuse('unknown-object', line, `objects are all, ${[...OBJECTS].join(', ')}`)
  const properties = pairs.map((pair) => readProperty(pair, line))
  bound('valuesPerProperty', properties.length, line)
  return {
    kind: 'rule',
    line,
    must: false,
    permission,
    identity,
    actions: [action],
    ...(object === undefined ? {} : { object }),
    // The first of repeated ones stays.
    properties: properties.filter(({ name }, at) => properties.findIndex((other) => other.name === name) === at),
  }
}

function readProperty(pair: string, line: number): PropertyStatement {
  const equals = pair.indexOf('=')
  if (equals < 0 || equals === pair.length - 1)
    refuse('property-no-value', line, 'a property is written name=value, without blanks')
  const written = pair.slice(0, equals)
  const name = ALIASES.get(written) ?? written
  if (!TEXTS.has(name) && !LIMITS.has(name)) refuse('unknown-property', line, 'there is no such property')
  return { name, values: [pair.slice(equals + 1)] }
}

function readQuota(tokens: readonly string[], line: number): QuotaStatement {
  const [, of, most, ...identities] = tokens
  if (of === undefined || most === undefined)
    refuse('too-few-tokens', line, 'a quota is written quota connections|queues n identity')
  if (of !== 'connections' && of !== 'queues')
    refuse('unknown-property', line, 'quotas are about connections or queues')
  if (!isDigits(most) || most.length > 5 || Number(most) > MOST_QUOTA)
    refuse('bad-quota-value', line, `a quota is a number from 0 to ${MOST_QUOTA}`)
  return { kind: 'quota', line, of, most: Number(most), identities }
}

function isGroupName(name: string): boolean {
  return consistsOf(name, '-_')
}

function isUserName(name: string): boolean {
  return consistsOf(name, '-_.@/') && name.includes('@') && name.indexOf('@') < name.length - 1
}
