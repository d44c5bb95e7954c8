import { byId, el } from './dom.ts'

const LISTS = ['shopping', 'packing', 'chores']

/** The list that the address names, after its `#`. */
export function listNamed(hash: string): string {
  try {
    return decodeURIComponent(hash.slice(1)) || 'shopping'
  } catch {
    return hash.slice(1) // not an encoded text: the SDK will say what is wrong with it
  }
}

/** Every list is a topic of its own. */
export const topicOf = (list: string): string => `lists/${list}`

/** Links to a few lists, and to the one at hand if it is another. */
export function showLists(current: string): void {
  const names = LISTS.includes(current) ? LISTS : [...LISTS, current]
  const items = names.map((name) => {
    const link = el('a', '', name)
    link.href = `#${name}`
    if (name === current) link.ariaCurrent = 'page'
    return el('li', '', link)
  })
  const list = byId('lists', 'ul')
  list.replaceChildren(...items)
  list.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' })
}
