/**
 * Bugs that others have shipped, planted into our own code: `find` stands once in the file and becomes `plant`. A checker that
 * does not catch every one of them proves nothing by finding nothing.
 */
export interface Mutant {
  readonly name: string
  readonly file: string
  readonly find: string
  readonly plant: string
}

const BROKER = 'packages/sdk/src/broker'
const CLIENT = 'packages/sdk/src/client'

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'ack before commit',
    file: `${BROKER}/topic-log.ts`,
    find: "if (this.#journal.empty && !this.#inFlight) return [{ name: 'send', links: [answer.link], text: answer.text }]",
    plant:
      "{ const told = [{ name: 'send', links: [answer.link], text: answer.text }]; return this.#inFlight || this.#journal.empty ? told : [...told, ...this.#commit()] }",
  },
  {
    name: 'no dedupe',
    file: `${BROKER}/publishers.ts`,
    find: 'return { repeats: Math.min(count, Math.max(0, mark.last - first + 1)) }',
    plant: 'return { repeats: 0 }',
  },
  {
    name: 'off-by-one resume',
    file: `${CLIENT}/following.ts`,
    find: 'subscription.from = makeCursor(epoch, next)',
    plant: 'subscription.from = makeCursor(epoch, next + 1)',
  },
  {
    name: 'silent gap',
    file: `${BROKER}/subscriptions.ts`,
    find: 'if (from > subscription.next) effects.push(this.#skip(subscription, from, here))',
    plant: 'if (from > subscription.next) this.#skip(subscription, from, here)',
  },
  {
    name: 'cursor before handler',
    file: `${CLIENT}/consumer.ts`,
    find: 'const pending = handler(walk.message(read(walk.raw)))',
    plant:
      'this.#moved(makeCursor(epoch, walk.offset + 1), undefined); const pending = handler(walk.message(read(walk.raw)))',
  },
  {
    name: 'a refusal that consumes its number',
    file: `${BROKER}/journal.ts`,
    find: 'if (lines.refused) fates.push(...refusal(first, end, lines.count, lines.refused))',
    plant:
      'if (lines.refused) { fates.push(...refusal(first, end, lines.count, lines.refused)); if (lines.refused.index === end) this.#publishers.record(key, { first: first + end, count: 1, offset: -1, at: this.#now }) }',
  },
  {
    name: 'any higher sequence accepted',
    file: `${BROKER}/publishers.ts`,
    find: 'if (after > mark.last) return',
    plant: 'if (after > mark.last + 1e9) return',
  },
]
