import type { Identity } from '@messkit/sdk/broker'
import { type Fault, fault } from '@messkit/sdk/protocol'
import { readFact, writeFact } from '../store/facts.ts'
import { LEARNED_BUCKET, OWN_BUCKET, POLICY_BUCKET } from '../store/layout.ts'
import { keysOf, NOTHING, type PolicyDocument, type ReadPolicy, readPolicy } from './document.ts'
import { Judge, type Layer, type Verdict } from './judge.ts'
import { type Learned, learn } from './learned.ts'
import { Lease } from './lease.ts'
import { userLimits } from './limits.ts'
import { carryOver, layerOf, type News, NO_NEWS, readNews, revokedOf } from './news.ts'
import type { Resource } from './resource.ts'
import type { Visitor } from './visitor.ts'

/** The own rules and grants of a topic or queue. `since`: the offset at which each began. */
export interface OwnAccess {
  readonly version: number
  readonly document: PolicyDocument
  readonly since: { readonly rules: readonly number[]; readonly grants: readonly number[] }
}

/** Whose links are to end. A group is known to objects by its digest, and by its name where a policy speaks of it. */
export interface Kick {
  readonly token?: string
  readonly user?: string
  readonly group?: string
  readonly groupName?: string
}

export interface ResourceAccessOptions {
  readonly resource: Resource
  readonly sql: SqlStorage
  /** The directory, for what is newer than this version. */
  readonly ask: (known: number) => Promise<string | undefined>
  /** Let the directory know that there are rules here, so that whom they let in is not turned away before. */
  readonly mark: () => Promise<void>
  /** Offset behind the newest message; 0 where there is no history. */
  readonly head: () => number
  /** Somebody may do more or less than before: judge every link anew, in this turn. */
  readonly changed: () => void
  readonly now: () => number
}

/** A lease can end while it is asked for: the directory has forgotten us since. It does not do that again and again. */
const TRIES = 3

interface Copy {
  readonly news: News
  readonly learned: Learned
}

/** Who may do what with one topic or queue: the deployment's policy, of which it keeps a copy, and its own rules. */
export class ResourceAccess {
  readonly lease: Lease
  readonly #options: ResourceAccessOptions
  #copy: Copy
  #own: OwnAccess | undefined
  /** What stands in it, read once: it may be large, and every change of the deployment's policy needs it. */
  #ownRead: ReadPolicy | undefined
  #judge: Judge | undefined
  #logs = false
  /** Changes one after the other: each is made from what the one before left. */
  #changing: Promise<unknown> = Promise.resolve()

  constructor(options: ResourceAccessOptions) {
    const { sql, ask, now } = options
    this.#options = options
    const [text, learned, own] = [POLICY_BUCKET, LEARNED_BUCKET, OWN_BUCKET].map((bucket) => readFact(sql, bucket))
    this.#copy =
      text === undefined || learned === undefined
        ? { news: NO_NEWS, learned: [] }
        : { news: readNews(text), learned: JSON.parse(learned) as Learned }
    this.#own = own === undefined ? undefined : (JSON.parse(own) as OwnAccess)
    this.lease = new Lease(
      () => ask(this.#copy.news.version),
      (text) => this.learn(text),
      now,
    )
  }

  get version(): number {
    return this.#copy.news.version
  }

  get own(): OwnAccess {
    return this.#own ?? { version: 0, document: NOTHING, since: { rules: [], grants: [] } }
  }

  /** @throws {Error} before it was ready, which only we could do */
  judge(visitor: Visitor): Identity {
    const { key, user, expiresAt } = visitor
    const verdict = this.verdict(visitor)
    const { rights, historyFrom } = verdict
    const limits = userLimits(verdict.limits)
    return { key, user, expiresAt, rights, ...(historyFrom > 0 && { historyFrom }), ...(limits && { limits }) }
  }

  /** Actions of which each decision is to be recorded. */
  log(visitor: Visitor): number {
    return this.#logs ? this.verdict(visitor).log : 0
  }

  /** Whether a visitor is one of those: by token, as a user, or as one of a group by token or policy. */
  isMeant(visitor: Visitor, { token, user, group, groupName }: Kick): boolean {
    if (token !== undefined) return visitor.token === token
    if (user !== undefined) return visitor.key === user
    if (group !== undefined && visitor.groups.includes(group)) return true
    return groupName !== undefined && this.judgeItself.bind(visitor).groups.includes(groupName)
  }

  verdict(visitor: Visitor): Verdict {
    const { kind, name } = this.#options.resource
    return this.judgeItself.judge(visitor, kind, name)
  }

  get judgeItself(): Judge {
    if (!this.#judge) throw new Error('the policy was not read yet')
    return this.#judge
  }

  /** There is a policy that may be gone by. */
  get isReady(): boolean {
    return this.#judge !== undefined && this.lease.holds
  }

  /** Resolves once there is a policy that may be gone by. @returns whether there is */
  async ready(): Promise<boolean> {
    for (let tries = 0; !this.isReady && tries < TRIES; tries++) {
      if (!this.lease.holds && !(await this.lease.renew())) return false
      if (!this.#judge) await this.#change(async () => {})
    }
    return this.isReady
  }

  /** The deployment's policy has changed. @param text of the news */
  learn(text: string): Promise<void> {
    return this.#change(async () => {
      const news = readNews(text)
      if (news.version <= this.#copy.news.version) return
      const { sql, head } = this.#options
      this.#copy = { news, learned: learn(this.#copy.learned, news.version, head()) }
      writeFact(sql, POLICY_BUCKET, text)
      writeFact(sql, LEARNED_BUCKET, JSON.stringify(this.#copy.learned))
    })
  }

  /** Acknowledged when nothing more is sent to whoever lost the right. @throws {PolicyError} */
  async setOwn(document: PolicyDocument, ifVersion: number): Promise<{ version: number } | Fault> {
    if (!(await this.ready())) return fault('policy_unavailable')
    const read = keysOf(readPolicy(document))
    if (this.own.version !== ifVersion) return fault('version_conflict')
    // Only what is as good as accepted; a mark that turns out to be for nothing costs a question and no more.
    await this.#options.mark()
    let version: number | undefined
    await this.#change(async () => {
      if (this.own.version !== ifVersion) return
      const head = this.#options.head()
      const before = this.own
      const old = keysOf(readPolicy({ ...before.document, tests: [] }))
      version = before.version + 1
      this.#own = {
        version,
        document,
        since: {
          rules: carryOver({ keys: old.rules, since: before.since.rules }, read.rules, head),
          grants: carryOver({ keys: old.grants, since: before.since.grants }, read.grants, head),
        },
      }
      this.#ownRead = undefined
      writeFact(this.#options.sql, OWN_BUCKET, JSON.stringify(this.#own))
    })
    return version === undefined ? fault('version_conflict') : { version }
  }

  #change(work: () => Promise<void>): Promise<void> {
    const change = this.#changing.then(async () => {
      await work()
      const { news, learned } = this.#copy
      const judge = await Judge.make({ deployment: layerOf(news, learned), own: this.#ownLayer() }, revokedOf(news))
      // From here to the end of the turn: whoever lost a right gets no frame after this.
      this.#judge = judge
      this.#logs = judge.logs
      this.#options.changed()
    })
    this.#changing = change.catch(() => {})
    return change
  }

  #ownLayer(): Layer {
    const { document, since } = this.own
    this.#ownRead ??= readPolicy({ ...document, tests: [] })
    return {
      policy: this.#ownRead,
      ruleSince: (place) => since.rules[place] ?? 0,
      grantSince: (place) => since.grants[place] ?? 0,
    }
  }
}
