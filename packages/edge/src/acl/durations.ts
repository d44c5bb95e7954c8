import { isDigits } from './characters.ts'

/**
 * Lengths of time as the `broker-j-limits` dialect writes them: `second`, `h`, `15M`, `PT5m7.5s`, `P1DT1M`. In milliseconds;
 * `undefined` if it is none, or is negative.
 */
export function parseDuration(text: string): number | undefined {
  const word = text.toLowerCase()
  if (word.length > LONGEST) return undefined
  const named = NAMED.get(word)
  if (named !== undefined) return named
  if (isDigits(word.slice(0, 1))) return parseIso(`pt${word}`)
  return parseIso(word)
}

const LONGEST = 64
const SECOND = 1_000
const NAMED: ReadonlyMap<string, number> = new Map([
  ['s', SECOND],
  ['second', SECOND],
  ['m', 60 * SECOND],
  ['minute', 60 * SECOND],
  ['h', 3_600 * SECOND],
  ['hour', 3_600 * SECOND],
])

/** Lower case. Days in front of the `t`; hours, minutes and seconds behind it, each at most once and in this order. */
function parseIso(text: string): number | undefined {
  const [days, time, ...more] = text.slice(isSigned(text) ? 1 : 0).split('t')
  if (days === undefined || !days.startsWith('p') || more.length > 0) return undefined
  const date = sum(days.slice(1), ['d'])
  const clock = time === undefined ? 0 : sum(time, ['h', 'm', 's'])
  const isEmpty = days === 'p' && time === undefined
  if (isEmpty || time === '' || date === undefined || clock === undefined) return undefined
  const ms = text.startsWith('-') ? -(date + clock) : date + clock
  return ms >= 0 && ms <= Number.MAX_SAFE_INTEGER ? ms : undefined
}

const UNITS: Readonly<Record<string, number>> = { d: 86_400 * SECOND, h: 3_600 * SECOND, m: 60 * SECOND, s: SECOND }

function sum(text: string, units: readonly string[]): number | undefined {
  let total = 0
  let number = ''
  let left = units
  for (const char of text) {
    if (isDigits(char) || '.,+-'.includes(char)) number += char
    else {
      const value = numberOf(number, char === 's')
      if (!left.includes(char) || value === undefined) return undefined
      total += value * (UNITS[char] as number)
      left = left.slice(left.indexOf(char) + 1)
      number = ''
    }
  }
  return number === '' ? total : undefined
}

/** Whole, and only seconds have a fraction. */
function numberOf(text: string, mayHaveFraction: boolean): number | undefined {
  const [whole = '', fraction, ...more] = text
    .slice(isSigned(text) ? 1 : 0)
    .replace(',', '.')
    .split('.')
  if (whole === '' || more.length > 0 || (fraction !== undefined && !mayHaveFraction)) return undefined
  if (!isDigits(whole + (fraction ?? ''))) return undefined
  return Number(`${text.startsWith('-') ? '-' : ''}${whole}.${fraction ?? ''}0`)
}

const isSigned = (text: string): boolean => text.startsWith('-') || text.startsWith('+')
