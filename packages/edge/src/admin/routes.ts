import { RIGHTS } from '@messkit/sdk/broker'
import { type Fault, fault, nameFault } from '@messkit/sdk/protocol'
import { type Context, Hono } from 'hono'
import * as v from 'valibot'
import { mentionedGroups, NOTHING, type PolicyDocument, readPolicy } from '../access/document.ts'
import { copyFor } from '../access/edge-policy.ts'
import { Judge, NO_LAYER } from '../access/judge.ts'
import { layerOf, type News, revokedOf } from '../access/news.ts'
import { keyOf, type Resource, type ResourceKind } from '../access/resource.ts'
import { visitorOf } from '../access/visitor.ts'
import { Ask } from '../acl/ask.ts'
import { formatLimit } from '../acl/format.ts'
import { lint } from '../acl/lint.ts'
import { whoIs } from '../audit/decision.ts'
import { countDenial } from '../audit/denials.ts'
import { identityKey } from '../auth/identity-key.ts'
import type { User } from '../auth/token.ts'
import type { Env } from '../env.ts'
import { answered, isFault, readJson } from '../http.ts'
import { httpError } from '../http-error.ts'
import { stubOf } from '../objects/resource-stub.ts'
import { directoryOf } from '../objects/stubs.ts'
import { type Actor, enter, has, heldBy, judgeOf, mayCall } from './actor.ts'
import { Change, digested, isRootOf, nameOf, PatchChange, Question, queryOf, Whose } from './asked.ts'
import { CALLS, type Call, type Need } from './calls.ts'
import { givesOnlyHeld } from './held.ts'

import { patched } from './patch.ts'

type Vars = { Bindings: Env; Variables: { actor: Actor; object?: string } }
type Asked = Context<Vars>

/**
 * Managing who may do what, over HTTP: the deployment's policy, the rules of single topics and queues, revocations and kicks, explanations, and what was
 * done. Every answer to somebody who may not is the same, whatever is there.
 */
export const admin = new Hono<Vars>()

admin.use(async (c, next) => {
  const actor = await enter(c.req.raw, c.env)
  if (isFault(actor)) {
    countDenial(c.env, actor.code)
    return httpError(actor)
  }
  c.set('actor', actor)
  return next()
})

on('GET /policy', async (c) => {
  const { news } = await copyFor(c.env, 0)
  const findings = lint(readPolicy({ ...news.document, tests: [] }).policy)
  return { version: news.version, ...news.document, findings }
})

on('PUT /policy', async (c) => {
  const { ifVersion, ...document } = v.parse(Change, await readJson(c.req.raw))
  return setPolicy(c, ifVersion, () => document)
})

on('PATCH /policy', async (c) => {
  const { ifVersion, ...patch } = v.parse(PatchChange, await readJson(c.req.raw))
  return setPolicy(c, ifVersion, (before) => patched(before, patch))
})

on('GET /groups', async (c) => {
  const { news } = await copyFor(c.env, 0)
  const read = readPolicy({ ...news.document, tests: [] })
  const listed = new Map(
    read.policy.statements.flatMap((one) => (one.kind === 'group' ? [[one.name, one.members] as const] : [])),
  )
  const names = [...mentionedGroups(read)].toSorted()
  return { version: news.version, groups: names.map((name) => ({ name, members: listed.get(name) ?? [] })) }
})

for (const at of ['topics/:topic', 'queues/:queue'] as const) {
  onOne(`GET /access/${at}`, async (c, resource) => {
    // What has no rules of its own needs no object to say so.
    if (!(await directoryOf(c.env).hasOwn(keyOf(resource)))) return { version: 0, ...NOTHING }
    const { version, document } = await stubOf(c.env, resource).ownAccess()
    return { version, ...document }
  })

  onOne(`PUT /access/${at}`, async (c, resource) => {
    const { ifVersion, ...document } = v.parse(Change, await readJson(c.req.raw))
    return setAccess(c, { resource, ifVersion }, () => document)
  })

  onOne(`PATCH /access/${at}`, async (c, resource) => {
    const { ifVersion, ...patch } = v.parse(PatchChange, await readJson(c.req.raw))
    return setAccess(c, { resource, ifVersion }, (before) => patched(before, patch))
  })

  onOne(`GET /audit/${at}`, async (c, resource) => ({
    acts: await stubOf(c.env, resource).records(queryOf(c.req.query())),
  }))
}

on('POST /revocations', async (c) => {
  const one = v.parse(Whose, await readJson(c.req.raw))
  c.set('object', nameOf(one))
  // Or whoever may revoke could keep out those whom the policy cannot, by doing it again and again.
  if (isRootOf(one, c.env) && !c.var.actor.root) return fault('not_held')
  return directoryOf(c.env).revoke(await digested(one, c.env), Date.now())
})

on('POST /kicks', async (c) => {
  const one = v.parse(Whose, await readJson(c.req.raw))
  c.set('object', nameOf(one))
  const kick = await digested(one, c.env)
  return directoryOf(c.env).kick(one.what === 'group' ? { ...kick, groupName: one.group } : kick)
})

on('POST /explain', async (c) => {
  const { action, on, name, issuer, address, ...who } = v.parse(Question, await readJson(c.req.raw))
  const isOne = on !== 'server' && name !== undefined && !nameFault(name)
  const judge = isOne ? await judgeOf({ kind: on, name }, c.env) : (await copyFor(c.env, 0)).judge
  const key = await identityKey(issuer ?? c.env.TOKEN_ISSUER ?? '', who.user)
  const foreign = issuer !== undefined && issuer !== c.env.TOKEN_ISSUER && { issuer }
  const user: User = { key, ...who, ...foreign, issuedAt: Date.now(), expiresAt: Number.MAX_SAFE_INTEGER }
  const bearer = judge.bind(await visitorOf(user, address))
  const ruling = judge.authority.decide(bearer, new Ask(action, on, name === undefined ? {} : { name }))
  const { effect, by, decision, rows } = ruling
  const limits = decision?.limits?.map(formatLimit)
  return { effect, by, reason: decision?.reason, line: decision?.rule?.line, grants: rows, limits }
})

on('GET /audit', async (c) => {
  const directory = directoryOf(c.env)
  const query = queryOf(c.req.query())
  return { acts: await directory.records(query), denials: await directory.denials(query.limit) }
})

// ---- who may, and what is recorded of it

/** One call: whoever may not is turned away, and what was to be recorded is. */
function on(call: Call, work: (c: Asked, resource: Resource | undefined) => Promise<object | Fault>): void {
  const [method, path] = call.split(' ') as [string, string]
  const [, kind] = (/:(topic|queue)$/.exec(path) as [string, ResourceKind] | null) ?? []
  admin.on(method, kind ? `${path}{[\\s\\S]+}` : path, async (c) => {
    const need: Need = CALLS[call]
    const resource = kind && { kind, name: c.req.param(kind) as string }
    const response = (await mayCall(c.var.actor, need, resource, c.env))
      ? await answered(() => work(c, resource)).catch(failed)
      : httpError(fault('forbidden'))
    if (need.act !== undefined || has(c.var.actor.log, need.server)) {
      const reason = response.ok ? '' : await codeOf(response)
      const record = {
        at: Date.now(),
        who: whoIs(c.var.actor.user),
        what: need.act ?? call,
        object: resource ? `${resource.kind} ${resource.name}` : (c.var.object ?? 'server'),
        outcome: response.ok ? 'done' : 'refused',
        reason,
        count: 1,
      } as const
      await directoryOf(c.env).record(record).catch(unheard)
    } else if (response.status === 403) countDenial(c.env, 'forbidden')
    // Whoever changed it sees it at once, here at least.
    if (need.act !== undefined && response.ok) await copyFor(c.env, 0).catch(unheard)
    return response
  })
}

/** One call about a topic or queue, which its address names. */
function onOne(call: Call, work: (c: Asked, resource: Resource) => Promise<object | Fault>): void {
  on(call, (c, resource) => work(c, resource as Resource))
}

/** What was done is done: whoever did it is not told that it failed. */
function unheard(error: unknown): void {
  console.error('the directory did not answer after a call to administer:', error)
}

/** What failed is recorded, too. */
function failed(error: unknown): Response {
  console.error('a call to administer failed:', error)
  return httpError(fault('internal'))
}

async function codeOf(response: Response): Promise<string> {
  const { error } = (await response.clone().json()) as { error: { code: string } }
  return error.code
}

// ---- changes

type Next = (before: PolicyDocument) => PolicyDocument | Fault

async function setPolicy(c: Asked, ifVersion: number, next: Next): Promise<object | Fault> {
  const { news } = await copyFor(c.env, 0)
  if (news.version !== ifVersion) return fault('version_conflict')
  const document = next(news.document)
  if (isFault(document)) return document
  const before = readPolicy({ ...news.document, tests: [] })
  const { actor } = c.var
  if (!givesOnlyHeld(before, readPolicy(document), await heldBy(actor, undefined, c.env))) return fault('not_held')
  // Whoever is an administrator by policy stays one, so there is always somebody who can give it back.
  if (!actor.root && !(await staysAdmin(actor, { ...news, document }))) return fault('not_held')
  return (await directoryOf(c.env).change(document, ifVersion)) ?? fault('version_conflict')
}

async function staysAdmin({ visitor }: Actor, news: News): Promise<boolean> {
  const judge = await Judge.make({ deployment: layerOf(news), own: NO_LAYER }, revokedOf(news))
  return (judge.judge(visitor, 'server').rights & RIGHTS.admin) !== 0
}

async function setAccess(
  c: Asked,
  { resource, ifVersion }: { readonly resource: Resource; readonly ifVersion: number },
  next: Next,
): Promise<object | Fault> {
  // What has no rules of its own is not woken, or made, to say that it is of another version.
  const known = await directoryOf(c.env).hasOwn(keyOf(resource))
  const own = known ? await stubOf(c.env, resource).ownAccess() : { version: 0, document: NOTHING }
  if (own.version !== ifVersion) return fault('version_conflict')
  const document = next(own.document)
  if (isFault(document)) return document
  const before = readPolicy({ ...own.document, tests: [] })
  const held = await heldBy(c.var.actor, resource, c.env)
  if (!givesOnlyHeld(before, readPolicy(document), held)) return fault('not_held')
  return stubOf(c.env, resource).setOwnAccess(document, ifVersion)
}
