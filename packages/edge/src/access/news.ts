import { type PolicyDocument, type ReadPolicy, readPolicy } from './document.ts'
import { type Layer, NO_LAYER, NONE_REVOKED, type Revoked } from './judge.ts'
import { type Learned, learnedAt } from './learned.ts'

/** What the directory tells objects and Workers of the deployment's policy. Plain data: it crosses RPC and lies in rows. */
export interface News {
  readonly version: number
  readonly document: PolicyDocument
  /** By place: with which version each rule and grant came. */
  readonly since: { readonly rules: readonly number[]; readonly grants: readonly number[] }
  readonly revoked: {
    readonly tokens: readonly string[]
    readonly users: readonly (readonly [key: string, before: number])[]
    readonly groups: readonly (readonly [digest: string, before: number])[]
  }
  /** The rules that the deployment brought along, as long as nobody has set others. */
  readonly brought?: string
}

/** Before anybody has set a policy, nobody may do anything. */
export const NO_NEWS: News = {
  version: 0,
  document: { rules: '', grants: [], tests: [] },
  since: { rules: [], grants: [] },
  revoked: { tokens: [], users: [], groups: [] },
}

/** @param learned where the topic stood with each version; left out where there is no log */
export function layerOf({ version, document, since }: News, learned: Learned = []): Layer {
  if (version === 0) return NO_LAYER
  const at = (came: number | undefined): number => learnedAt(learned, came ?? version)
  return {
    policy: readOf(document),
    ruleSince: (place) => at(since.rules[place]),
    grantSince: (place) => at(since.grants[place]),
  }
}

/** How many documents are kept: during a change there are two, and tests have several deployments. */
const KEPT = 4
const KEPT_DOCUMENTS = new Map<string, PolicyDocument>()
const READ = new WeakMap<PolicyDocument, ReadPolicy>()

/**
 * The same with a document that all objects and requests of an isolate share, since it may be large. Without the tests, which nobody needs
 * once it is accepted.
 */
export function shared(news: News): News {
  return { ...news, document: sharedDocument(news.document) }
}

function sharedDocument(document: PolicyDocument): PolicyDocument {
  for (const known of KEPT_DOCUMENTS.values()) if (known === document) return known
  const { rules, grants } = document
  const key = JSON.stringify([rules, grants])
  const known = KEPT_DOCUMENTS.get(key) ?? { rules, grants, tests: [] }
  KEPT_DOCUMENTS.delete(key)
  KEPT_DOCUMENTS.set(key, known)
  const [oldest] = KEPT_DOCUMENTS.keys()
  if (KEPT_DOCUMENTS.size > KEPT) KEPT_DOCUMENTS.delete(oldest as string)
  return known
}

function readOf(document: PolicyDocument): ReadPolicy {
  const known = sharedDocument(document)
  const read = READ.get(known) ?? readPolicy(known)
  READ.set(known, read)
  return read
}

export function revokedOf({ revoked: { tokens, users, groups } }: News): Revoked {
  if (tokens.length + users.length + groups.length === 0) return NONE_REVOKED
  return { tokens: new Set(tokens), users: new Map(users), groups: new Map(groups) }
}

/** A rule or grant that stood there before keeps its version; one that was taken away and given back is new. */
export function carryOver(
  before: { readonly keys: readonly string[]; readonly since: readonly number[] },
  keys: readonly string[],
  version: number,
): number[] {
  const known = new Map(before.keys.map((key, place) => [key, before.since[place]]))
  return keys.map((key) => known.get(key) ?? version)
}
