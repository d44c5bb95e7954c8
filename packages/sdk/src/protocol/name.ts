import { CLIENT_LIMITS } from './client-limits.ts'

const LEVEL = /^[A-Za-z0-9_.-]+$/

/**
 * Why a topic or queue name is not one, or `undefined` for a good name: 1 to 8 levels joined by `/`, each of 1 to 64
 * characters `A-Z a-z 0-9 _ - .`, none `.` or `..`, the first not beginning with `_`. Names compare exactly.
 */
export function nameFault(name: unknown): string | undefined {
  if (typeof name !== 'string') return 'is not a string'
  if (name.length > CLIENT_LIMITS.nameBytes) return `is longer than ${CLIENT_LIMITS.nameBytes} bytes`
  const levels = name.split('/')
  if (levels.length > CLIENT_LIMITS.nameLevels) return `has more than ${CLIENT_LIMITS.nameLevels} levels`
  for (const level of levels) {
    if (level === '') return 'has an empty level'
    if (level.length > CLIENT_LIMITS.levelChars)
      return `has a level of more than ${CLIENT_LIMITS.levelChars} characters`
    if (level === '.' || level === '..') return `has the level "${level}"`
    if (!LEVEL.test(level)) return 'has a character other than A-Z a-z 0-9 _ - .'
  }
  return name.startsWith('_') ? 'begins with "_", which is reserved' : undefined
}
