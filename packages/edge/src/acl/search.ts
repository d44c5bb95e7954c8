import { Ask, type Caller } from './ask.ts'
import { holdsAll } from './conditions.ts'
import { byRule, byUnknown, type Decision } from './decision.ts'
import type { Condition, Rule } from './policy.ts'

/**
 * A rule, as it stands in an index. Most rules are about one identity and ask for nothing but a name; that is seen without following
 * another pointer, which is what a decision among ten thousand rules mostly waits for.
 */
export class Entry {
  readonly order: number
  readonly #rule: Rule
  /** Some condition may not be able to tell. */
  readonly #canFail: boolean
  readonly #identity: number
  readonly #others: readonly number[] | undefined
  /** What has to hold besides that which led here. */
  readonly #rest: readonly Condition[] | undefined
  /** The answer, where it is always the same one. */
  readonly #decision: Decision | undefined

  constructor(rule: Rule, { identities, rest }: { identities: readonly number[]; rest: readonly Condition[] }) {
    this.order = rule.order
    this.#rule = rule
    this.#canFail = rule.where.some(({ kind }) => kind === 'hostname')
    this.#identity = identities[0] ?? NOBODY
    this.#others = identities.length > 1 ? identities : undefined
    this.#rest = rest.length > 0 ? rest : undefined
    this.#decision = rule.limits.length > 0 || this.#canFail ? undefined : byRule(rule, ANYTHING)
  }

  decide(caller: Caller, ask: Ask): Decision {
    if (this.#decision) return this.#decision
    return this.#canFail && holdsAll(this.#rule.where, caller, ask) === 'unknown'
      ? byUnknown(this.#rule)
      : byRule(this.#rule, ask)
  }

  get identities(): readonly number[] {
    return this.#others ?? [this.#identity]
  }

  concerns(identities: readonly number[]): boolean {
    if (this.#others) return this.#others.some((identity) => identities.includes(identity))
    return identities.includes(this.#identity)
  }

  /** One that cannot tell whether it matches counts. */
  matches(caller: Caller, ask: Ask): boolean {
    return this.#rest === undefined || holdsAll(this.#rest, caller, ask) !== false
  }
}

const NOBODY = -1
const ANYTHING = new Ask('', '')
export const EVERYBODY = 0
export const OWNER = 1

/** Looking for the first rule that matches. What comes behind one that was found need not be looked at. */
export class Search {
  found: Entry | undefined
  /** The place of what was found. */
  before = Number.POSITIVE_INFINITY
  readonly caller: Caller
  readonly ask: Ask
  readonly identities: readonly number[]

  constructor(caller: Caller, ask: Ask, identities: readonly number[]) {
    this.caller = caller
    this.ask = ask
    this.identities = identities
  }

  /** Takes the entry if it matches. */
  take(entry: Entry): boolean {
    if (!entry.matches(this.caller, this.ask)) return false
    this.found = entry
    this.before = entry.order
    return true
  }
}

/** A name, cut level by level as far as somebody looks. */
export class NameLevels {
  readonly #name: string
  readonly #separator: string
  readonly #cut: string[] = []
  /** Where the next level begins; -1 behind the last. */
  #from = 0

  constructor(name: string, separator: string) {
    this.#name = name
    this.#separator = separator
  }

  /** `undefined` behind the last. */
  at(depth: number): string | undefined {
    while (this.#cut.length <= depth && this.#from >= 0) this.#cutNext()
    return this.#cut[depth]
  }

  #cutNext(): void {
    const end = this.#name.indexOf(this.#separator, this.#from)
    this.#cut.push(end < 0 ? this.#name.slice(this.#from) : this.#name.slice(this.#from, end))
    this.#from = end < 0 ? -1 : end + this.#separator.length
  }
}

/** Below this many entries it is faster to look at each than to look them up. */
const FEW = 8

/** Entries that ask for the same name, in the order of their rules. Mostly it is one. */
export class Leaf {
  readonly #first: Entry
  #entries: Entry[] | undefined
  #byIdentity: Map<number, Entry[]> | undefined

  constructor(first: Entry) {
    this.#first = first
  }

  add(entry: Entry): void {
    this.#entries ??= [this.#first]
    this.#entries.push(entry)
    if (this.#byIdentity) sort(this.#byIdentity, entry)
    else if (this.#entries.length > FEW) {
      this.#byIdentity = new Map()
      for (const each of this.#entries) sort(this.#byIdentity, each)
    }
  }

  search(search: Search): void {
    if (this.#first.order >= search.before) return
    if (this.#byIdentity) this.#searchEach(this.#byIdentity, search)
    else if (this.#entries) searchAll(this.#entries, search)
    else if (this.#first.concerns(search.identities)) search.take(this.#first)
  }

  #searchEach(byIdentity: ReadonlyMap<number, readonly Entry[]>, search: Search): void {
    for (const identity of search.identities) {
      for (const entry of byIdentity.get(identity) ?? []) if (entry.order >= search.before || search.take(entry)) break
    }
  }
}

function searchAll(entries: readonly Entry[], search: Search): void {
  for (const entry of entries) {
    if (entry.order >= search.before || (entry.concerns(search.identities) && search.take(entry))) return
  }
}

function sort(byIdentity: Map<number, Entry[]>, entry: Entry): void {
  for (const identity of entry.identities) {
    const own = byIdentity.get(identity)
    if (own) own.push(entry)
    else byIdentity.set(identity, [entry])
  }
}

/** Adds to the leaf that is there, or makes one. */
export function addTo(leaf: Leaf | undefined, entry: Entry): Leaf {
  if (!leaf) return new Leaf(entry)
  leaf.add(entry)
  return leaf
}
