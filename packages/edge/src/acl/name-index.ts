import { ANY, type LevelPattern, ONE } from './levels.ts'
import { type Named, nameKeys } from './name-keys.ts'
import { hasPlaceholder } from './placeholders.ts'
import { addTo, type Entry, type Leaf, NameLevels, type Search } from './search.ts'

/** Rules by the value that they ask for in one property: by the text, by how it begins, and by patterns of its levels. */
export class NameIndex {
  readonly property: string
  #separator = ''
  #isGuarded = false
  readonly #exact = new Map<string, Leaf>()
  /** By length: a name begins with few of many prefixes. */
  readonly #prefixes = new Map<number, Map<string, Leaf>>()
  #patterns: Node | undefined

  constructor(property: string) {
    this.property = property
  }

  add(condition: Named, entry: Entry): void {
    this.#isGuarded = condition.guarded
    if (condition.kind === 'levels') this.#separator = condition.separator
    for (const key of nameKeys(condition)) {
      if (key.kind === 'exact') put(this.#exact, key.text, entry)
      else if (key.kind === 'prefix') put(this.#ofLength(key.text.length), key.text, entry)
      else this.#addPattern(key.levels, entry)
    }
  }

  search(search: Search): void {
    const name = search.ask.text(this.property)
    if (name === undefined || (this.#isGuarded && hasPlaceholder(name))) return
    this.#exact.get(name)?.search(search)
    if (this.#prefixes.size > 0) this.#searchPrefixes(name, search)
    this.#patterns?.search(search, new NameLevels(name, this.#separator), 0)
  }

  #searchPrefixes(name: string, search: Search): void {
    for (const [length, leaves] of this.#prefixes) {
      if (length <= name.length) leaves.get(name.slice(0, length))?.search(search)
    }
  }

  #addPattern(pattern: LevelPattern, entry: Entry): void {
    this.#patterns ??= new Node(entry.order)
    this.#patterns.add(pattern, entry)
  }

  #ofLength(length: number): Map<string, Leaf> {
    const leaves = this.#prefixes.get(length) ?? new Map<string, Leaf>()
    this.#prefixes.set(length, leaves)
    return leaves
  }
}

/** Patterns as a tree of their levels. */
class Node {
  /** Place of the first rule in here. */
  readonly #first: number
  #next: Map<string, Node> | undefined
  #one: Node | undefined
  #ends: Leaf | undefined
  #anys: Leaf | undefined

  constructor(first: number) {
    this.#first = first
  }

  add([level, ...below]: LevelPattern, entry: Entry): void {
    if (level === undefined) this.#ends = addTo(this.#ends, entry)
    else if (level === ANY) this.#anys = addTo(this.#anys, entry)
    else this.#below(level, entry.order).add(below, entry)
  }

  search(search: Search, levels: NameLevels, depth: number): void {
    if (this.#first >= search.before) return
    this.#anys?.search(search)
    const level = levels.at(depth)
    if (level === undefined) {
      this.#ends?.search(search)
      return
    }
    this.#next?.get(level)?.search(search, levels, depth + 1)
    this.#one?.search(search, levels, depth + 1)
  }

  #below(level: string, first: number): Node {
    if (level === ONE) {
      this.#one ??= new Node(first)
      return this.#one
    }
    this.#next ??= new Map()
    const known = this.#next.get(level) ?? new Node(first)
    this.#next.set(level, known)
    return known
  }
}

function put(leaves: Map<string, Leaf>, key: string, entry: Entry): void {
  leaves.set(key, addTo(leaves.get(key), entry))
}
