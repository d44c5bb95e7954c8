import { CLIENT_LIMITS } from './client-limits.ts'
import type { ErrorCode } from './error-codes.ts'

/**
 * What a payload may be: a JSON value that reads back as it was written. {@link payloadFault} judges a value before it is
 * written (the client, once per publish); {@link lineFault} judges a written line at a server's border.
 */
export interface PayloadFault {
  readonly code: ErrorCode
  readonly message: string
}

/** A fault on its way out of a value: `path` grows at the front while it unwinds, so that good values build no text. */
interface Found {
  readonly code: ErrorCode
  readonly path: string
  readonly what: string
}

const found = (what: string, code: ErrorCode = 'bad_payload'): Found => ({ code, path: '', what })
const within = (step: string, inner: Found): Found => ({ ...inner, path: step + inner.path })

/**
 * Why JSON cannot carry a value unharmed, or `undefined`. As in `JSON.stringify`, a property that is `undefined` counts as
 * absent and an object with `toJSON` stands for what that returns; what JSON would silently change is refused.
 */
export function payloadFault(value: unknown): PayloadFault | undefined {
  const fault = search(value, 0)
  return fault && { code: fault.code, message: `data${fault.path} ${fault.what}` }
}

function search(value: unknown, depth: number): Found | undefined {
  switch (typeof value) {
    case 'string':
      return value.isWellFormed() ? undefined : found('holds half of a surrogate pair')
    case 'boolean':
      return undefined
    case 'number':
      return Number.isFinite(value) ? undefined : found(`is ${value}, which JSON writes as null`)
    case 'object':
      return value === null ? undefined : searchObject(value, depth + 1)
    default:
      return found(`is of type ${typeof value}, which JSON cannot hold`)
  }
}

function searchObject(value: object, depth: number): Found | undefined {
  if (depth > CLIENT_LIMITS.payloadDepth)
    return found(`is nested deeper than ${CLIENT_LIMITS.payloadDepth} levels, or contains itself`, 'too_deep')
  if (typeof (value as { toJSON?: unknown }).toJSON === 'function') {
    return search((value as { toJSON(key: string): unknown }).toJSON(''), depth)
  }
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const fault = search(value[i], depth)
      if (fault) return within(`[${i}]`, fault)
    }
    return undefined
  }
  const prototype = Object.getPrototypeOf(value)
  if (
    prototype !== Object.prototype &&
    prototype !== null &&
    (ArrayBuffer.isView(value) || ODD.some((type) => value instanceof type))
  ) {
    return found(`is a ${value.constructor.name}, which JSON cannot hold`)
  }
  for (const key of Object.keys(value)) {
    const item = (value as Record<string, unknown>)[key]
    if (item === undefined) continue
    const fault = key.isWellFormed() ? search(item, depth) : found('has a key with half of a surrogate pair')
    if (fault) return within(`.${key}`, fault)
  }
  return undefined
}

const ODD = [Map, Set, WeakMap, WeakSet, Promise, RegExp, Error, ArrayBuffer, Number, String, Boolean, BigInt, Symbol]

/** A line shorter than this cannot be nested too deeply: it takes two brackets a level. */
const SHALLOW_CHARS = 2 * CLIENT_LIMITS.payloadDepth + 1

/** Why a line is not one payload, or `undefined`. The value is looked into only where a count or an escape says it could matter. */
export function lineFault(line: string): PayloadFault | undefined {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    return lineFound('a line of messages is not one JSON value')
  }
  // Frames are well-formed text where they came over a wire; inside a process halves of pairs can also stand there unescaped.
  const suspect =
    (line.length >= SHALLOW_CHARS && openings(line) > CLIENT_LIMITS.payloadDepth) ||
    line.includes('\\u') ||
    !line.isWellFormed()
  return suspect ? valueFault(value, 0) : undefined
}

const lineFound = (message: string): PayloadFault => ({ code: 'bad_payload', message })

function openings(line: string): number {
  let count = 0
  for (let i = 0; i < line.length; i++) {
    const unit = line.charCodeAt(i)
    if (unit === 0x5b || unit === 0x7b) count++
  }
  return count
}

/** Depth and well-formedness of a parsed value. Recursion ends at the depth bound, so a bomb cannot overflow the stack. */
function valueFault(value: unknown, depth: number): PayloadFault | undefined {
  if (typeof value === 'string')
    return value.isWellFormed() ? undefined : lineFound('a string of the payload holds half of a surrogate pair')
  if (typeof value !== 'object' || value === null) return undefined
  if (depth + 1 > CLIENT_LIMITS.payloadDepth)
    return { code: 'too_deep', message: `the payload is nested deeper than ${CLIENT_LIMITS.payloadDepth} levels` }
  for (const [key, item] of Object.entries(value)) {
    const fault =
      (key.isWellFormed() ? undefined : lineFound('a key of the payload holds half of a surrogate pair')) ??
      valueFault(item, depth + 1)
    if (fault) return fault
  }
  return undefined
}
