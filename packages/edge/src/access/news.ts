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

/** How many texts are kept: during a change there are two, and tests have several deployments. */
const KEPT = 4
const TEXTS = new Map<string, News>()
const READ = new WeakMap<PolicyDocument, ReadPolicy>()

/** News as they cross RPC and lie in rows: an isolate reads a text once, however many objects go by it, since it may be large. */
export function readNews(text: string): News {
  const news = TEXTS.get(text) ?? withKnownDocument(JSON.parse(text) as News)
  TEXTS.delete(text)
  TEXTS.set(text, news)
  const [oldest] = TEXTS.keys()
  if (TEXTS.size > KEPT) TEXTS.delete(oldest as string)
  return news
}

export const writeNews = (news: News): string => JSON.stringify(news)

/** A revocation is news, too, and leaves the document as it was. */
function withKnownDocument(news: News): News {
  for (const { document } of TEXTS.values()) if (isSame(document, news.document)) return { ...news, document }
  return news
}

const isSame = (one: PolicyDocument, other: PolicyDocument): boolean =>
  one.rules === other.rules && JSON.stringify([one.grants, one.tests]) === JSON.stringify([other.grants, other.tests])

function readOf(document: PolicyDocument): ReadPolicy {
  const read = READ.get(document) ?? readPolicy({ ...document, tests: [] })
  READ.set(document, read)
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
