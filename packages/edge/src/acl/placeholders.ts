const word = (name: string): string => `\${${name}}`

/** The words for the caller. In the `cpp` dialect `${user}` is the part in front of the `@`. */
export const USER = word('user')
const DOMAIN = word('domain')
const USER_DOMAIN = word('userdomain')
const PLACEHOLDERS = [USER_DOMAIN, USER, DOMAIN]

export function hasPlaceholder(text: string): boolean {
  return text.includes('${') && PLACEHOLDERS.some((each) => text.includes(each))
}

/** The caller's names in the rule's text. */
export function insertCaller(text: string, user: string): string {
  const { full, name, domain } = partsOf(user)
  return swap(swap(swap(text, USER, name), DOMAIN, domain), USER_DOMAIN, full)
}

/**
 * The other way round, as the C++ broker does it for routing keys: what looks like the caller becomes the placeholder, the longest
 * first. So `${user}_${domain}` never matches a key, and that is part of the dialect.
 */
export function recogniseCaller(key: string, user: string): string {
  const { full, name, domain } = partsOf(user)
  return swap(swap(swap(key, full, USER_DOMAIN), name, USER), domain, DOMAIN)
}

/** Names have to fit into one level of a key, so `@` and `.` become `_`. */
function partsOf(user: string): { full: string; name: string; domain: string } {
  const at = user.indexOf('@')
  return {
    full: plain(user),
    name: plain(at < 0 ? user : user.slice(0, at)),
    domain: at < 0 ? '' : plain(user.slice(at + 1)),
  }
}

const plain = (text: string): string => text.replaceAll('@', '_').replaceAll('.', '_')
const swap = (text: string, from: string, to: string): string => (from === '' ? text : text.split(from).join(to))
