import { byId, el } from './dom.ts'

const TOPICS = ['galley', 'deck', 'shore']

/** The topic that the address names, after its `#`. */
export function topicOf(hash: string): string {
  try {
    return decodeURIComponent(hash.slice(1)) || 'galley'
  } catch {
    return hash.slice(1) // not an encoded text: the SDK will say what is wrong with it
  }
}

/** Links to a few topics, and to the one at hand if it is another. */
export function showTopics(current: string): void {
  const names = TOPICS.includes(current) ? TOPICS : [...TOPICS, current]
  const items = names.map((name) => {
    const link = el('a', '', name)
    link.href = `#${name}`
    if (name === current) link.ariaCurrent = 'page'
    return el('li', '', link)
  })
  const list = byId('topics', 'ul')
  list.replaceChildren(...items)
  list.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' })
}
