import { readFileSync } from 'node:fs'
import * as v from 'valibot'
import { expect, test } from 'vitest'
import { grantsOf, PolicyDocument, readPolicy } from '../../packages/edge/src/access/document.ts'
import { Ask } from '../../packages/edge/src/acl/ask.ts'
import { Authority } from '../../packages/edge/src/acl/authority.ts'
import { lint } from '../../packages/edge/src/acl/lint.ts'
import { parse } from '../../packages/edge/src/acl/parse.ts'
import { inRoot } from '../../scripts/project.mjs'

const PAGE = readFileSync(inRoot('docs/guide/group-permissions.md'), 'utf8')

/** Blocks of a language in a page. */
const blocks = (page: string, language: string): string[] =>
  [...page.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, 'g'))].map(([, text]) => text as string)

/** Rows that end in an answer. */
const answers = PAGE.split('\n').flatMap((line) => {
  const [, who, action, name, answer] = line.split('|').map((cell) => cell.trim())
  return answer === 'allow' || answer === 'deny'
    ? [[who, action, name, answer] as [string, string, string, string]]
    : []
})

test('the table of the page has rows', () => expect(answers).toHaveLength(10))

test.each(answers)('%s may %s %s: %s', (user, action, name, answer) => {
  const { ifVersion, ...body } = JSON.parse(blocks(PAGE, 'json')[0] as string) as Record<string, unknown>
  const { policy, grants } = readPolicy(v.parse(PolicyDocument, body))
  const authority = new Authority({ deployment: policy, grants: [grantsOf(grants, () => 0)] })
  const bearer = authority.bind({ user, groups: [], authenticated: true })

  expect(ifVersion).toBe(0)
  expect(authority.decide(bearer, new Ask(action, 'topic', { name })).effect).toBe(answer)
})

test.each(
  [
    'docs/guide/group-permissions.md',
    'docs/guide/who-may-do-what.md',
    'docs/guide/security.md',
    'docs/reference/policy.md',
  ].flatMap((page) => blocks(readFileSync(inRoot(page), 'utf8'), 'acl').map((text) => [page, text] as const)),
)('the rules in %s are rules, and none of them is dead: %s', (_, text) => {
  const policy = parse(text, { dialect: 'native' })

  expect(policy.statements.length).toBeGreaterThan(0)
  expect(lint(policy).filter(({ kind }) => kind !== 'unknown-group')).toEqual([])
})
