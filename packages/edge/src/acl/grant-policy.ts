import { ACL_BOUNDS } from './bounds.ts'
import { isPlainText } from './characters.ts'
import { bound, PolicyError, refuse } from './errors.ts'
import { type GrantRow, type GrantSchema, Grants, type GrantType } from './grants.ts'
import { isList, isRecord, isStrings, type Json, memberOf } from './json.ts'

/**
 * Grants with a directory of groups and with administrators, as JSON: what a permission API works on. A permission is a text of bits,
 * one for each action.
 */
export class GrantPolicy {
  readonly grants: Grants
  readonly #directory: Map<string, Set<string>>
  readonly #administrators: ReadonlySet<string>

  constructor(grants: Grants, directory: Map<string, Set<string>>, administrators: ReadonlySet<string>) {
    this.grants = grants
    this.#directory = directory
    this.#administrators = administrators
  }

  /** From the directory, never from what somebody says of themselves. */
  groupsOf(user: string | null): ReadonlySet<string> {
    return (user === null ? undefined : this.#directory.get(user)) ?? new Set()
  }

  decide({ user, action, type, name, isPattern }: GrantRequest): 'allow' | 'deny' {
    const at = this.grants.schema.actions.indexOf(action)
    if (at < 0) return 'deny'
    const [bit, ask] = [1 << at, { groups: this.groupsOf(user), type, name }]
    const isAllowed = isPattern ? this.grants.grantsPattern(ask, bit) : (this.grants.granted(ask) & bit) !== 0
    return isAllowed ? 'allow' : 'deny'
  }

  /** One act of administration. What is refused changes nothing. */
  act(step: unknown): 'allow' | 'deny' | 'parse-error' {
    if (!isRecord(step)) return 'parse-error'
    const by = memberOf(step, 'by')
    if (typeof by !== 'string' || !this.#isAdministrator(by)) return 'deny'
    try {
      this.#change(step)
      return 'allow'
    } catch (error) {
      if (error instanceof PolicyError) return 'parse-error'
      throw error
    }
  }

  #isAdministrator(user: string): boolean {
    return [...this.groupsOf(user)].some((group) => this.#administrators.has(group))
  }

  #change(step: Json): void {
    const op = memberOf(step, 'op')
    if (op === 'grant') this.grants.add(readRow(this.grants.schema, memberOf(step, 'entry')))
    else if (op === 'revoke') this.grants.remove(readRow(this.grants.schema, memberOf(step, 'entry')))
    else if (op === 'join' || op === 'leave') this.#move(op, textOf(step, 'user'), textOf(step, 'group'))
    else refuse('bad-grant', 0, 'acts are grant, revoke, join and leave')
  }

  #move(op: 'join' | 'leave', user: string, group: string): void {
    const groups = this.#directory.get(user) ?? new Set()
    this.#directory.set(user, groups)
    if (op === 'join') groups.add(group)
    else groups.delete(group)
  }
}

export interface GrantRequest {
  readonly user: string | null
  readonly action: string
  readonly type: string
  readonly name: string
  /** The name is a pattern that somebody wants to subscribe to. */
  readonly isPattern: boolean
}

/** @throws {PolicyError} of kind `bad-grant` */
export function readGrantPolicy(json: unknown): GrantPolicy {
  if (!isRecord(json)) refuse('bad-grant', 0, 'a policy of grants is an object')
  const schema = readSchema(json)
  const ofTypes = listOf(json, 'global').map((row) => readRow(schema, row))
  const ofNames = listOf(json, 'resources').map((row) => readRow(schema, row))
  if (ofTypes.some(({ name }) => name !== undefined)) refuse('bad-grant', 0, 'a row about a whole type has no name')
  if (ofNames.some(({ name }) => name === undefined)) refuse('bad-grant', 0, 'a row about one thing has its name')
  bound('grantRows', ofTypes.length + ofNames.length)
  const administrators = memberOf(json, 'administrators') ?? []
  if (!isStrings(administrators)) refuse('bad-grant', 0, 'administrators are a list of groups')
  return new GrantPolicy(new Grants(schema, [...ofTypes, ...ofNames]), readDirectory(json), new Set(administrators))
}

function readSchema(json: Json): GrantSchema {
  const actions = memberOf(json, 'actions')
  const types = memberOf(json, 'resourceTypes')
  if (!isStrings(actions) || new Set(actions).size < actions.length)
    refuse('bad-grant', 0, 'actions are a list of different words')
  if (!isRecord(types)) refuse('bad-grant', 0, 'resourceTypes are an object')
  bound('grantActions', actions.length)
  bound('grantTypes', Object.keys(types).length)
  return { actions, types: new Map(Object.entries(types).map(([name, type]) => [name, readType(type)])) }
}

function readType(json: unknown): GrantType {
  if (!isRecord(json)) refuse('bad-grant', 0, 'a type is an object')
  const separator = memberOf(json, 'separator') ?? '.'
  if (memberOf(json, 'hierarchical') !== true) return { separator: undefined }
  if (typeof separator !== 'string' || separator === '') refuse('bad-grant', 0, 'a separator is a text')
  return { separator }
}

/** `{ type, name?, group, permission, from?, since? }`. A blank name is none: it must not become a grant of everything. */
export function readRow(schema: GrantSchema, json: unknown): GrantRow {
  if (!isRecord(json)) refuse('bad-grant', 0, 'a row is an object')
  const type = textOf(json, 'type')
  if (!schema.types.has(type)) refuse('bad-grant', 0, 'there is no such type')
  const name = memberOf(json, 'name')
  const from = memberOf(json, 'from')
  const since = memberOf(json, 'since')
  if (from !== undefined && from !== 'grant' && from !== 'all')
    refuse('bad-grant', 0, 'history is from grant or from all')
  if (since !== undefined && !(Number.isSafeInteger(since) && (since as number) >= 0))
    refuse('bad-grant', 0, 'an offset is a number from 0')
  return {
    type,
    name: name === undefined ? undefined : textOf(json, 'name'),
    group: textOf(json, 'group'),
    mask: maskOf(schema, memberOf(json, 'permission')),
    ...(from === undefined ? {} : { from }),
    ...(since === undefined ? {} : { since: since as number }),
  }
}

function maskOf({ actions }: GrantSchema, permission: unknown): number {
  if (typeof permission !== 'string' || permission.length !== actions.length)
    refuse('bad-grant', 0, `a permission has ${actions.length} bits, one for each action`)
  return [...permission].reduce((mask, bit, at) => {
    if (bit !== '0' && bit !== '1') refuse('bad-grant', 0, 'a permission consists of 0 and 1')
    return bit === '1' ? mask | (1 << at) : mask
  }, 0)
}

function readDirectory(json: Json): Map<string, Set<string>> {
  const directory = memberOf(json, 'directory') ?? {}
  if (!isRecord(directory)) refuse('bad-grant', 0, 'a directory is an object')
  const read = new Map<string, Set<string>>()
  for (const [user, groups] of Object.entries(directory)) {
    if (!isStrings(groups)) refuse('bad-grant', 0, 'a user has a list of groups')
    bound('groupsPerCaller', groups.length)
    read.set(user, new Set(groups))
  }
  return read
}

function listOf(json: Json, member: string): readonly unknown[] {
  const list = memberOf(json, member) ?? []
  return isList(list) ? list : refuse('bad-grant', 0, `${member} is a list`)
}

function textOf(json: Json, member: string): string {
  const text = memberOf(json, member)
  if (typeof text !== 'string' || text.trim() === '' || text.length > ACL_BOUNDS.valueChars || !isPlainText(text))
    return refuse('bad-grant', 0, `${member} is a text that is not blank`)
  return text
}
