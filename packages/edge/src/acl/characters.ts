/**
 * May this text stand in a policy, or name a caller? Refused is what a reader cannot see or cannot tell apart: controls, lone
 * surrogates, marks that reorder text, characters without width, and what is not in Unicode's composed form.
 */
export function isPlainText(text: string): boolean {
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (code < 0x20 || code >= 0x7f) return !hasHidden(text) && text.isWellFormed() && text.normalize('NFC') === text
  }
  return true
}

function hasHidden(text: string): boolean {
  for (const char of text) {
    if (isHidden(char.codePointAt(0) as number)) return true
  }
  return false
}

function isHidden(code: number): boolean {
  return HIDDEN.some(([first, last]) => code >= first && code <= last)
}

/** Controls, format characters, separators of lines and other blanks, fillers, selectors, tags, private use, noncharacters. */
const HIDDEN: readonly (readonly [number, number])[] = [
  [0x0000, 0x001f],
  [0x007f, 0x00a0],
  [0x00ad, 0x00ad],
  [0x034f, 0x034f],
  [0x061c, 0x061c],
  [0x115f, 0x1160],
  [0x1680, 0x1680],
  [0x17b4, 0x17b5],
  [0x180b, 0x180f],
  [0x2000, 0x200f],
  [0x2028, 0x202f],
  [0x205f, 0x206f],
  [0x2800, 0x2800],
  [0x3000, 0x3000],
  [0x3164, 0x3164],
  [0xe000, 0xf8ff],
  [0xfdd0, 0xfdef],
  [0xfe00, 0xfe0f],
  [0xfeff, 0xfeff],
  [0xffa0, 0xffa0],
  [0xfff0, 0xffff],
  [0x1bca0, 0x1bca3],
  [0x1d173, 0x1d17a],
  [0xe0000, 0x10ffff],
]

export function isDigits(text: string): boolean {
  for (const char of text) if (char < '0' || char > '9') return false
  return text !== ''
}

/** Letters and digits of ASCII, and the others; and not empty. */
export function consistsOf(text: string, others: string): boolean {
  for (const char of text) if (!isAlphanumeric(char) && !others.includes(char)) return false
  return text !== ''
}

export function isAlphanumeric(char: string): boolean {
  return (char >= 'a' && char <= 'z') || (char >= 'A' && char <= 'Z') || (char >= '0' && char <= '9')
}
