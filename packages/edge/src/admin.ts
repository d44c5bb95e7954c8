import { RIGHTS, type Right } from '@messkit/sdk/broker'
import { type Fault, fault, nameFault } from '@messkit/sdk/protocol'
import { type Context, Hono } from 'hono'
import * as v from 'valibot'
import { digestOf } from './access/digest.ts'
import { NOTHING, PolicyDocument, readPolicy } from './access/document.ts'
import { copyFor, directoryOf } from './access/edge-policy.ts'
import { Judge, NO_LAYER } from './access/judge.ts'
import { layerOf, revokedOf } from './access/news.ts'
import type { OwnAccess } from './access/topic-access.ts'
import { type Visitor, visitorOf } from './access/visitor.ts'
import { Ask } from './acl/ask.ts'
import { PolicyError } from './acl/errors.ts'
import { lint } from './acl/lint.ts'
import { isAction, OBJECT_KINDS } from './acl/vocabulary.ts'
import { addressOf } from './auth/address.ts'
import { isRoot } from './auth/admins.ts'
import { identityKey } from './auth/identity-key.ts'
import { mayConnect } from './auth/origin.ts'
import { type User, verifyToken } from './auth/token.ts'
import type { Env } from './env.ts'
import { httpError } from './http-error.ts'
import type { Act } from './objects/directory-object.ts'
import { topicObjectName } from './objects/object-name.ts'

/** The longest body that is read. */
const BODY_BYTES = 8 * 1024 * 1024
const AUDIT_PAGE = 200
const ACCESS = '/access/topics/:topic{[\\s\\S]+}'

type Vars = { Bindings: Env; Variables: { actor: Actor } }

/** Who administers, with what. */
interface Actor {
  readonly user: User
  readonly visitor: Visitor
  readonly root: boolean
  /** What they may do with the server. */
  readonly rights: number
}

/** What a topic's object does for administrators. The Worker has checked who they are and what they may. */
interface TopicRpc {
  ownAccess(): Promise<OwnAccess>
  setOwnAccess(document: PolicyDocument, ifVersion: number): Promise<number | undefined>
}

/**
 * Managing who may do what, over HTTP: the deployment's policy, the rules of single topics, revocations, explanations, and what was done.
 * Every answer to somebody who may not is the same, whatever is there. Every act is recorded, the refused ones, too.
 */
export const admin = new Hono<Vars>()

admin.use(async (c, next) => {
  const actor = await enter(c)
  if ('code' in actor) return httpError(actor)
  c.set('actor', actor)
  return next()
})

admin.get('/policy', async (c) => {
  const refused = need(c, 'view')
  if (refused) return refused
  const { news } = await copyFor(c.env, 0)
  return json({
    version: news.version,
    ...news.document,
    findings: lint(readPolicy({ ...news.document, tests: [] }).policy),
  })
})

admin.put('/policy', async (c) => {
  const refused = await needRecorded(c, 'admin', 'set policy', 'server')
  if (refused) return refused
  return act(c, { what: 'set policy', object: 'server' }, async () => {
    const [document, version] = await readChange(c)
    readPolicy(document)
    const { actor } = c.var
    const { news } = await copyFor(c.env, 0)
    if (!actor.root && !(await staysAdmin(actor, { ...news, document }))) return fault('not_held')
    return (await directoryOf(c.env).change(document, version)) ?? fault('version_conflict')
  })
})

admin.get(ACCESS, async (c) => {
  const topic = c.req.param('topic')
  const rights = await rightsAt(c, topic)
  if ((rights & RIGHTS.view) === 0) return httpError(fault('forbidden'))
  // What has no rules of its own needs no object to say so.
  if (!(await directoryOf(c.env).hasOwn(topic))) return json({ version: 0, ...NOTHING })
  const { version, document } = await topicOf(c.env, topic).ownAccess()
  return json({ version, ...document })
})

admin.put(ACCESS, async (c) => {
  const topic = c.req.param('topic')
  const what = { what: 'set access', object: `topic ${topic}` }
  const rights = await rightsAt(c, topic)
  if ((rights & RIGHTS.grant) === 0) return refuse(c, what)
  return act(c, what, async () => {
    const [document, version] = await readChange(c)
    if (!holds(rights, document)) return fault('not_held')
    // First: whom the new rules let in must find the door open.
    await directoryOf(c.env).setOwn(topic, true)
    const set = await topicOf(c.env, topic).setOwnAccess(document, version)
    return set === undefined ? fault('version_conflict') : { version: set }
  })
})

const Revocation = v.variant('what', [
  v.strictObject({ what: v.literal('token'), id: Text(256) }),
  v.strictObject({ what: v.literal('user'), user: Text(256), issuer: v.optional(Text(512)) }),
  v.strictObject({ what: v.literal('group'), group: Text(256) }),
])

admin.post('/revocations', async (c) => {
  const refused = await needRecorded(c, 'admin', 'revoke', 'server')
  if (refused) return refused
  return act(c, { what: 'revoke', object: 'server' }, async () => {
    const one = v.parse(Revocation, await readJson(c))
    const directory = directoryOf(c.env)
    const now = Date.now()
    if (one.what === 'token') return directory.revoke({ token: await digestOf(one.id) }, now)
    if (one.what === 'group') return directory.revoke({ group: await digestOf(one.group) }, now)
    return directory.revoke({ user: await identityKey(one.issuer ?? c.env.TOKEN_ISSUER ?? '', one.user) }, now)
  })
})

const Question = v.strictObject({
  user: Text(256),
  issuer: v.optional(Text(512)),
  groups: v.optional(v.pipe(v.array(Text(256)), v.maxLength(64)), []),
  address: v.optional(Text(45)),
  action: v.pipe(v.string(), v.check(isAction)),
  on: v.picklist(OBJECT_KINDS),
  name: v.optional(Text(1_024)),
})

admin.post('/explain', async (c) => {
  const refused = need(c, 'view')
  if (refused) return refused
  return answered(c, async () => {
    const { action, on, name, ...who } = v.parse(Question, await readJson(c))
    const { judge } = await copyFor(c.env, 0)
    const key = await identityKey(who.issuer ?? '', who.user)
    const user: User = { key, ...who, issuedAt: Date.now(), expiresAt: Number.MAX_SAFE_INTEGER } as User
    const bearer = judge.bind(await visitorOf(user, who.address))
    const ruling = judge.authority.decide(bearer, new Ask(action, on, name === undefined ? {} : { name }))
    const { effect, by, decision, rows } = ruling
    return { effect, by, reason: decision?.reason, line: decision?.rule?.line, grants: rows }
  })
})

admin.get('/audit', async (c) => {
  const refused = need(c, 'view')
  if (refused) return refused
  const before = Number(c.req.query('before') ?? Number.MAX_SAFE_INTEGER)
  const limit = Math.min(AUDIT_PAGE, Number(c.req.query('limit') ?? AUDIT_PAGE))
  if (!Number.isSafeInteger(before) || !Number.isSafeInteger(limit) || limit < 1) return httpError(fault('bad_params'))
  return json({ acts: await directoryOf(c.env).acts(before, limit) })
})

// ---- who asks

async function enter(c: Context<Vars>): Promise<Actor | Fault> {
  const own = URL.parse(c.req.url)?.origin
  if (own === undefined) return fault('not_found')
  if (!mayConnect(c.req.header('origin') ?? null, { own, allowed: c.env.ALLOWED_ORIGINS ?? '' }))
    return fault('forbidden_origin')
  const [scheme, token, ...rest] = (c.req.header('authorization') ?? '').split(' ')
  if (scheme === '' || scheme === undefined) return fault('token_missing')
  if (scheme.toLowerCase() !== 'bearer' || token === undefined || rest.length > 0) return fault('token_invalid')
  const user = await verifyToken(token, c.env)
  if ('code' in user) return user
  const visitor = await visitorOf(user, addressOf(c.req.raw, c.env))
  const { judge } = await copyFor(c.env, 0)
  const root = isRoot(user, c.env.ADMINS) && !judge.isVoid(visitor) && user.capabilities === undefined
  return { user, visitor, root, rights: root ? ALL : judge.judge(visitor, 'server').rights }
}

const ALL = Object.values(RIGHTS).reduce((mask, bit) => mask | bit, 0)

const has = ({ rights }: Actor, right: Right): boolean => (rights & (RIGHTS[right] | RIGHTS.admin)) !== 0

function need(c: Context<Vars>, right: Right): Response | undefined {
  return has(c.var.actor, right) ? undefined : httpError(fault('forbidden'))
}

async function needRecorded(
  c: Context<Vars>,
  right: Right,
  what: string,
  object: string,
): Promise<Response | undefined> {
  return has(c.var.actor, right) ? undefined : refuse(c, { what, object })
}

/** What the actor may do with the topic, by the topic's own rules, too. */
async function rightsAt(c: Context<Vars>, topic: string): Promise<number> {
  const { actor } = c.var
  if (nameFault(topic)) return 0
  if (actor.root || has(actor, 'admin')) return ALL
  const { news } = await copyFor(c.env, 0)
  const own = (await directoryOf(c.env).hasOwn(topic)) ? (await topicOf(c.env, topic).ownAccess()).document : NOTHING
  const layer = { policy: readPolicy({ ...own, tests: [] }), ruleSince: () => 0, grantSince: () => 0 }
  const judge = await Judge.make({ deployment: layerOf(news), own: layer }, revokedOf(news))
  return judge.judge(actor.visitor, 'topic', topic).rights
}

/** Whoever gives a right has it. Denying is free: it can only take away. */
function holds(rights: number, document: PolicyDocument): boolean {
  const { policy, grants } = readPolicy(document)
  const given = policy.rules
    .filter(({ effect }) => effect === 'allow')
    .reduce((mask, { actions }) => mask | (actions === '*' ? ALL : maskOf(actions as readonly string[])), 0)
  return (grants.reduce((mask, row) => mask | row.mask, given) & ~rights) === 0
}

const maskOf = (actions: readonly string[]): number =>
  actions.reduce((mask, action) => mask | (RIGHTS[action as Right] ?? ALL), 0)

async function staysAdmin({ visitor }: Actor, news: Parameters<typeof layerOf>[0]): Promise<boolean> {
  const judge = await Judge.make({ deployment: layerOf(news), own: NO_LAYER }, revokedOf(news))
  return (judge.judge(visitor, 'server').rights & RIGHTS.admin) !== 0
}

// ---- what is asked

const topicOf = (env: Env, topic: string): TopicRpc =>
  env.TOPICS.getByName(topicObjectName(topic)) as unknown as TopicRpc

function Text(chars: number) {
  return v.pipe(v.string(), v.minLength(1), v.maxLength(chars))
}

const Change = v.intersect([
  v.strictObject({ ...PolicyDocument.entries, ifVersion: v.pipe(v.number(), v.safeInteger(), v.minValue(0)) }),
])

async function readChange(c: Context<Vars>): Promise<readonly [PolicyDocument, number]> {
  const { ifVersion, ...document } = v.parse(Change, await readJson(c))
  return [document, ifVersion]
}

/** Read no further than the bound, whatever the headers say. */
async function readJson(c: Context<Vars>): Promise<unknown> {
  const parts: Uint8Array[] = []
  let bytes = 0
  for await (const part of c.req.raw.body ?? []) {
    bytes += part.byteLength
    if (bytes > BODY_BYTES) throw new BodyFault()
    parts.push(part)
  }
  try {
    return JSON.parse(
      new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(await new Blob(parts).arrayBuffer()),
    )
  } catch {
    throw new BodyFault()
  }
}

class BodyFault extends Error {}

// ---- what is answered

type Made = object | Fault

/** Does something and records it, whatever came of it. */
async function act(c: Context<Vars>, on: Pick<Act, 'what' | 'object'>, work: () => Promise<Made>): Promise<Response> {
  const response = await answered(c, work)
  // Whoever changed it sees it at once, here at least.
  await copyFor(c.env, 0)
  await record(c, on, response.ok ? ['done', ''] : ['refused', String(response.status)])
  return response
}

async function refuse(c: Context<Vars>, on: Pick<Act, 'what' | 'object'>): Promise<Response> {
  await record(c, on, ['refused', 'forbidden'])
  return httpError(fault('forbidden'))
}

async function record(
  c: Context<Vars>,
  on: Pick<Act, 'what' | 'object'>,
  [outcome, reason]: readonly [Act['outcome'], string],
): Promise<void> {
  const { issuer = '', user } = c.var.actor.user
  await directoryOf(c.env).record({ at: Date.now(), who: `${issuer} ${user}`.trim(), ...on, outcome, reason })
}

async function answered(_: Context<Vars>, work: () => Promise<Made>): Promise<Response> {
  try {
    const made = await work()
    return 'code' in made ? httpError(made as Fault) : json(made)
  } catch (error) {
    if (error instanceof PolicyError) {
      const { kind, line, problems } = error
      return json(
        { error: { code: 'policy_invalid', message: error.message, retryable: false, kind, line, problems } },
        422,
      )
    }
    if (error instanceof BodyFault || v.isValiError(error)) return httpError(fault('bad_params'))
    throw error
  }
}

const json = (body: object, status = 200): Response =>
  Response.json(body, { status, headers: { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' } })
