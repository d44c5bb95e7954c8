const TONES = 6

/** The same person has the same colour in every tab. */
export function toneOf(name: string): number {
  let sum = 0
  for (const char of name) sum = (sum * 31 + (char.codePointAt(0) ?? 0)) % 65_521
  return sum % TONES
}
