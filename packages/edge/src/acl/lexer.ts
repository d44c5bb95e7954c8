import { ACL_BOUNDS } from './bounds.ts'
import { isAlphanumeric, isPlainText } from './characters.ts'
import { bound, type Problems, refuse } from './errors.ts'

export interface Token {
  readonly text: string
  /** Quoted text is a value, also where it looks like `=` or a bracket. */
  readonly quoted: boolean
  readonly line: number
}

/** One line of a policy after joining what `\` continues. */
export interface Line {
  readonly line: number
  readonly tokens: readonly Token[]
}

export interface Lexicon {
  /** Characters of words, besides letters and digits of ASCII. Any other is a token of its own. */
  readonly word: string
  /** Other controls than blank and tab separate words, too, and a backslash inside quotes says that the next character is meant. */
  readonly isLoose: boolean
  readonly onNote?: (kind: 'unquoted-hash' | 'eaten-backslash', line: number) => void
}

/** Lines of a notation with quotes, comments and continuation. Bad lines are noted as problems and left out. */
export function readLines(text: string, lexicon: Lexicon, problems: Problems): Line[] {
  bound('policyChars', text.length)
  const lexer = new Lexer(text, lexicon)
  const lines: Line[] = []
  while (!lexer.isAtEnd) {
    problems.try(() => {
      const line = lexer.next()
      if (line.tokens.length > 0) bound('lines', lines.push(line), line.line)
    })
  }
  return lines
}

class Lexer {
  #at = 0
  #line = 1
  #lineStart = 0
  readonly #text: string
  readonly #lexicon: Lexicon

  constructor(text: string, lexicon: Lexicon) {
    this.#text = text
    this.#lexicon = lexicon
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#text.length
  }

  next(): Line {
    const tokens: Token[] = []
    const line = this.#line
    try {
      while (!this.isAtEnd && !this.#takeEnd()) {
        const token = this.#token()
        if (token) tokens.push(token)
        bound('tokensPerLine', tokens.length, this.#line)
      }
      this.#checkLength()
    } catch (error) {
      this.#skipLine()
      throw error
    }
    return { line: tokens[0]?.line ?? line, tokens }
  }

  #token(): Token | undefined {
    const char = this.#text[this.#at] as string
    if (this.#isBlank(char)) this.#at++
    else if (char === '#') this.#comment()
    else if (char === '\\') this.#continuation()
    else if (char === '"' || char === "'") return this.#quoted(char)
    else return this.#plain(this.#isWord(char))
    return undefined
  }

  #plain(isWord: boolean): Token {
    const start = this.#at
    do this.#at++
    while (isWord && !this.isAtEnd && this.#isWord(this.#text[this.#at] as string))
    if (isWord && this.#text[this.#at] === '#') this.#lexicon.onNote?.('unquoted-hash', this.#line)
    return this.#made(this.#text.slice(start, this.#at), false)
  }

  #quoted(quote: string): Token {
    let text = ''
    for (this.#at++; this.#text[this.#at] !== quote; this.#at++) {
      if (this.isAtEnd || this.#isEnd()) refuse('unterminated-quote', this.#line, 'a quote is not closed on its line')
      if (this.#text[this.#at] === '\\' && this.#lexicon.isLoose) this.#escape()
      text += this.#text[this.#at]
    }
    this.#at++
    return this.#made(text, true)
  }

  /** As the reader of the reference does, which is why `"\."` in a pattern for host names means any character. */
  #escape(): void {
    if (!this.isAtEnd) this.#at++
    if (this.isAtEnd || this.#isEnd()) refuse('unterminated-quote', this.#line, 'a quote is not closed on its line')
    this.#lexicon.onNote?.('eaten-backslash', this.#line)
  }

  #made(text: string, quoted: boolean): Token {
    bound('valueChars', text.length, this.#line)
    if (!isPlainText(text))
      refuse('bad-character', this.#line, 'a character is invisible, a control, or not in composed form (NFC)')
    return { text, quoted, line: this.#line }
  }

  #comment(): void {
    while (!this.isAtEnd && !this.#isEnd()) this.#at++
  }

  /** Only blanks and a comment may stand behind it. */
  #continuation(): void {
    this.#at++
    while (!this.isAtEnd && this.#isBlank(this.#text[this.#at] as string)) this.#at++
    if (this.#text[this.#at] === '#') this.#comment()
    if (!this.isAtEnd && !this.#takeEnd())
      refuse('unexpected-continuation', this.#line, 'a backslash continues a line and stands at its end')
  }

  #isBlank(char: string): boolean {
    if (this.#isEnd(char)) return false
    return this.#lexicon.isLoose ? char <= ' ' : char === ' ' || char === '\t'
  }

  #isWord(char: string): boolean {
    return isAlphanumeric(char) || this.#lexicon.word.includes(char) || (this.#lexicon.isLoose && char > '\u00ff')
  }

  #isEnd(char = this.#text[this.#at]): boolean {
    return char === '\n' || char === '\r'
  }

  #takeEnd(): boolean {
    if (!this.#isEnd()) return false
    this.#checkLength()
    this.#skipLine()
    return true
  }

  #checkLength(): void {
    if (this.#at - this.#lineStart > ACL_BOUNDS.lineChars)
      refuse('line-too-long', this.#line, `a line has more than ${ACL_BOUNDS.lineChars} characters`)
  }

  /** To behind the next end of a line: `\n`, `\r` or both. */
  #skipLine(): void {
    this.#comment()
    if (this.#text[this.#at] === '\r' && this.#text[this.#at + 1] === '\n') this.#at++
    this.#at++
    this.#line++
    this.#lineStart = this.#at
  }
}
