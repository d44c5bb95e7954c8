import { NameIndex } from './name-index.ts'
import { isLoose, type Named } from './name-keys.ts'
import type { Condition, Rule } from './policy.ts'
import { addTo, Entry, type Leaf, type Search } from './search.ts'

/** Rules about one action and object: sorted by the name they ask for, where they ask for one. */
export class Slot {
  #unnamed: Leaf | undefined
  readonly #named: NameIndex[] = []

  /** Rules come in their order. */
  add(rule: Rule, identities: readonly number[]): void {
    const named = rule.where.find(isNamed)
    if (!named) {
      this.#unnamed = addTo(this.#unnamed, new Entry(rule, { identities, rest: rule.where }))
      return
    }
    const rest = isLoose(named) ? rule.where : rule.where.filter((condition) => condition !== named)
    this.#indexOf(named).add(named, new Entry(rule, { identities, rest }))
  }

  search(search: Search): void {
    this.#unnamed?.search(search)
    for (const index of this.#named) index.search(search)
  }

  #indexOf({ property }: Named): NameIndex {
    const known = this.#named.find((index) => index.property === property)
    if (known) return known
    const index = new NameIndex(property)
    this.#named.push(index)
    return index
  }
}

/** The C++ broker's rules about publishing name few exchanges and many keys. */
const INDEXED: readonly string[] = ['routingkey', 'name']

function isNamed(condition: Condition): condition is Named {
  return (condition.kind === 'text' || condition.kind === 'levels') && INDEXED.includes(condition.property)
}
