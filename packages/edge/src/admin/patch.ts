import { type Fault, fault } from '@messkit/sdk/protocol'
import * as v from 'valibot'
import { Grant, grantKey, type PolicyDocument } from '../access/document.ts'
import { ACL_BOUNDS } from '../acl/bounds.ts'
import { PolicyError } from '../acl/errors.ts'
import { formatStatement } from '../acl/format.ts'
import { parse } from '../acl/parse.ts'
import type { Statement } from '../acl/statements.ts'

const CHANGES = 1_000
const Lines = v.optional(
  v.pipe(v.array(v.pipe(v.string(), v.maxLength(ACL_BOUNDS.lineChars))), v.maxLength(CHANGES)),
  [],
)
const Rows = v.optional(v.pipe(v.array(Grant), v.maxLength(CHANGES)), [])

/** Single rules, groups and grants: what is not named stays as it is. */
export const Patch = v.strictObject({
  add: v.optional(
    v.strictObject({
      /** Lines as in the policy, `acl …` or `group …`. */
      rules: Lines,
      /** In front of this line of the policy as it is now, from 1. Left out: at the end. */
      before: v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(1))),
      grants: Rows,
    }),
    {},
  ),
  remove: v.optional(v.strictObject({ rules: Lines, grants: Rows }), {}),
})
export type Patch = v.InferOutput<typeof Patch>

/** @throws {PolicyError} where a line is none */
export function patched(document: PolicyDocument, { add, remove }: Patch): PolicyDocument | Fault {
  const lines = document.rules === '' ? [] : document.rules.split(/\r\n|\r|\n/)
  const statements = parse(document.rules, { dialect: 'native' }).statements
  const kept: (string | undefined)[] = [...lines]
  for (const text of remove.rules) {
    const wanted = formatStatement(single(text), 'native')
    const found = statements.find(
      (one) => kept[one.line - 1] !== undefined && formatStatement(one, 'native') === wanted,
    )
    if (!found) return fault('not_found', 'there is no such rule to remove')
    for (let at = found.line - 1; at < endOf(lines, found.line - 1, wanted); at++) kept[at] = undefined
  }
  // As they are understood: what is written could go on in the next line.
  const fresh = add.rules.map((text) => formatStatement(single(text), 'native'))
  kept.splice((add.before ?? kept.length + 1) - 1, 0, ...fresh)
  const grants = [...document.grants]
  for (const row of remove.grants) {
    const at = grants.findIndex((one) => grantKey(one) === grantKey(row))
    if (at < 0) return fault('not_found', 'there is no such grant to remove')
    grants.splice(at, 1)
  }
  const known = new Set(grants.map(grantKey))
  return {
    ...document,
    rules: kept.filter((line) => line !== undefined).join('\n'),
    grants: [...grants, ...add.grants.filter((row) => !known.has(grantKey(row)))],
  }
}

/** Where a statement ends that may go on over several lines: after the first of them that make it whole. */
function endOf(lines: readonly string[], start: number, wanted: string): number {
  for (let end = start + 1; end < lines.length; end++) if (canonical(lines.slice(start, end)) === wanted) return end
  return lines.length
}

function canonical(lines: readonly string[]): string | undefined {
  try {
    const [statement] = parse(lines.join('\n'), { dialect: 'native' }).statements
    return statement && formatStatement(statement, 'native')
  } catch (error) {
    if (error instanceof PolicyError) return undefined
    throw error
  }
}

/** One line and no more, so that nobody changes what stands around it. */
function single(text: string): Statement {
  const [statement, ...more] = parse(text, { dialect: 'native' }).statements
  if (!statement || more.length > 0 || /[\r\n]/.test(text)) throw new v.ValiError([NOT_ONE])
  return statement
}

const NOT_ONE = {
  kind: 'validation',
  type: 'rule',
  input: '',
  expected: null,
  received: '',
  message: 'not one rule',
} as const
