/** Does a character of this kind? */
export type Takes = (code: number) => boolean

/** What a pattern for host names says. */
export type Tree =
  | { readonly kind: 'char'; readonly takes: Takes }
  | { readonly kind: 'sequence' | 'choice'; readonly parts: readonly Tree[] }
  | { readonly kind: 'repeat'; readonly part: Tree; readonly least: number; readonly most: number }

/** @throws {Unreadable} */
export function readTree(source: string): Tree {
  return new Reader(source).read()
}

/** It is no pattern, or asks for what is not known here. */
export class Unreadable extends Error {}

const MAX_REPEAT = 64
const MAX_DEPTH = 16

class Reader {
  #at = 0
  #depth = 0
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  read(): Tree {
    const tree = this.#choice()
    if (this.#at < this.#text.length) throw new Unreadable()
    return tree
  }

  #choice(): Tree {
    const parts = [this.#sequence()]
    while (this.#take('|')) parts.push(this.#sequence())
    return { kind: 'choice', parts }
  }

  #sequence(): Tree {
    const parts: Tree[] = []
    while (this.#at < this.#text.length && !'|)'.includes(this.#peek())) {
      if (this.#edge()) continue
      parts.push(this.#repeated(this.#one()))
    }
    return { kind: 'sequence', parts }
  }

  /** The whole name has to match anyway, so `^` in front and `$` at the end say nothing. */
  #edge(): boolean {
    const isEdge =
      (this.#at === 0 && this.#peek() === '^') || (this.#at === this.#text.length - 1 && this.#peek() === '$')
    if (isEdge) this.#at++
    return isEdge
  }

  #repeated(part: Tree): Tree {
    const times = this.#times()
    if (!times) return part
    // Lazy or not, the names are the same. Possessive ones (`a*+`) and repeats of repeats are not known here.
    this.#take('?')
    if ('*+?{'.includes(this.#peek() || ' ')) throw new Unreadable()
    return { kind: 'repeat', part, ...times }
  }

  #times(): { least: number; most: number } | undefined {
    if (this.#take('*')) return { least: 0, most: Infinity }
    if (this.#take('+')) return { least: 1, most: Infinity }
    if (this.#take('?')) return { least: 0, most: 1 }
    if (!this.#take('{')) return undefined
    const least = this.#number()
    const most = this.#take(',') ? (this.#peek() === '}' ? Infinity : this.#number()) : least
    if (!this.#take('}') || least > MAX_REPEAT || most < least || (most > MAX_REPEAT && most !== Infinity))
      throw new Unreadable()
    return { least, most }
  }

  #number(): number {
    let text = ''
    while (isDigit(this.#peek())) text += this.#next()
    if (text === '' || text.length > 4) throw new Unreadable()
    return Number(text)
  }

  #one(): Tree {
    const char = this.#next()
    if (char === '(') return this.#group()
    if (char === '[') return { kind: 'char', takes: this.#class() }
    if (char === '.') return { kind: 'char', takes: () => true }
    if (char === '\\') return { kind: 'char', takes: this.#escape() }
    if ('*+?{}^$)]'.includes(char)) throw new Unreadable()
    return { kind: 'char', takes: is(char) }
  }

  #group(): Tree {
    if (++this.#depth > MAX_DEPTH) throw new Unreadable()
    if (this.#take('?') && !this.#take(':')) throw new Unreadable()
    const inner = this.#choice()
    if (!this.#take(')')) throw new Unreadable()
    this.#depth--
    return inner
  }

  #class(): Takes {
    const negated = this.#take('^')
    const members: Takes[] = []
    do members.push(this.#member())
    while (this.#peek() !== ']')
    this.#next()
    return (code) => members.some((takes) => takes(code)) !== negated
  }

  #member(): Takes {
    const char = this.#next()
    if (char === '[' || char === '&') throw new Unreadable()
    if (char === '\\') return this.#escape()
    if (this.#peek() !== '-' || this.#text[this.#at + 1] === ']') return is(char)
    this.#next()
    const [first, last] = [char.charCodeAt(0), this.#next().charCodeAt(0)]
    if (last < first || last === BACKSLASH) throw new Unreadable()
    return (code) => code >= first && code <= last
  }

  #escape(): Takes {
    const char = this.#next()
    const named = NAMED[char]
    if (named) return named
    const opposite = NAMED[char.toLowerCase()]
    if (opposite) return (code) => !opposite(code)
    if (isWord(char.charCodeAt(0))) throw new Unreadable()
    return is(char)
  }

  #peek(): string {
    return this.#text[this.#at] ?? ''
  }

  #next(): string {
    const char = this.#text[this.#at++]
    if (char === undefined) throw new Unreadable()
    return char
  }

  #take(char: string): boolean {
    if (this.#peek() !== char) return false
    this.#at++
    return true
  }
}

const BACKSLASH = 0x5c
const isDigit = (char: string): boolean => char >= '0' && char <= '9' && char.length === 1
const is = (char: string): Takes => {
  const wanted = char.charCodeAt(0)
  return (code) => code === wanted
}
const isWord = (code: number): boolean =>
  (code >= 0x30 && code <= 0x39) || (code >= 0x41 && code <= 0x5a) || code === 0x5f || (code >= 0x61 && code <= 0x7a)
const NAMED: Readonly<Partial<Record<string, Takes>>> = Object.assign(Object.create(null), {
  d: (code: number) => code >= 0x30 && code <= 0x39,
  w: isWord,
  s: (code: number) => code === 0x20 || (code >= 0x09 && code <= 0x0d),
})
