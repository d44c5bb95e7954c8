import type { Kept } from './kept.ts'

const KEY = 'user'
// What the server takes as a user's name.
const NAME = /^[A-Za-z0-9_.@-]{1,64}$/
const SPICES = [
  'anise',
  'basil',
  'caper',
  'cumin',
  'dill',
  'fennel',
  'ginger',
  'juniper',
  'laurel',
  'mace',
  'nutmeg',
  'saffron',
  'sorrel',
  'sumac',
  'thyme',
]

/**
 * Who writes: the `user` of the address, else one per browser profile. Tabs of one user share one outbox.
 * @throws {RangeError} if the address names nobody whom the server would take
 */
export function currentUser(search: string, kept: Kept): string {
  const asked = new URLSearchParams(search).get('user')
  if (asked !== null) {
    if (NAME.test(asked)) return asked
    throw new RangeError('A user’s name has 1 to 64 characters of A–Z a–z 0–9 _ . @ -')
  }
  const known = kept.get(KEY)
  if (known !== undefined && NAME.test(known)) return known
  const name = newName()
  kept.set(KEY, name)
  return name
}

/** The same page as another user. */
export function addressOfSomebodyElse(href: string): string {
  const url = new URL(href)
  url.searchParams.set('user', newName())
  return url.href
}

function newName(): string {
  const spice = SPICES[Math.floor(Math.random() * SPICES.length)]
  return `${spice}-${Math.floor(Math.random() * 90) + 10}`
}
