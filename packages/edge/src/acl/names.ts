import { LIMITS, nameFault } from '@messkit/sdk/protocol'

/** Is this the name of a topic or queue? Most are seen to be one at a glance; `nameFault` has the last word on the others. */
export function isName(name: string): boolean {
  return isPlainName(name) || nameFault(name) === undefined
}

/** Letters, digits and hyphens in few short levels: less than what a name may be, and nothing that is none. */
function isPlainName(name: string): boolean {
  if (name.length > LIMITS.levelChars) return false
  let levels = 1
  let before = SLASH
  for (let at = 0; at < name.length; at++) {
    const code = name.charCodeAt(at)
    if (code === SLASH) {
      if (before === SLASH) return false
      levels++
    } else if (code >= PLAIN.length || PLAIN[code] === 0) return false
    before = code
  }
  return before !== SLASH && levels <= LIMITS.nameLevels
}

const SLASH = 0x2f
const PLAIN = new Uint8Array(128)
for (const char of 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-') PLAIN[char.charCodeAt(0)] = 1
