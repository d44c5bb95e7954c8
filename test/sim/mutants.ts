/**
 * Bugs that others have shipped, planted into our own code: in one file, each `find` stands once and becomes its `plant`. A checker
 * that does not catch every one of them proves nothing by finding nothing.
 */
export interface Mutant {
  readonly name: string
  readonly file: string
  readonly edits: readonly (readonly [find: string, plant: string])[]
}

const BROKER = 'packages/sdk/src/broker'
const CLIENT = 'packages/sdk/src/client'

const mutant = (name: string, file: string, ...edits: Mutant['edits']): Mutant => ({ name, file, edits })

export const MUTANTS: readonly Mutant[] = [
  // What is acked
  mutant('ack before commit', `${BROKER}/topic-log.ts`, [
    "if (this.#journal.empty && !this.#inFlight) return [{ name: 'send', links: [answer.link], text: answer.text }]",
    "{ const told = [{ name: 'send', links: [answer.link], text: answer.text }]; return this.#inFlight || this.#journal.empty ? told : [...told, ...this.#commit()] }",
  ]),
  mutant('ack of a commit that failed', `${BROKER}/topic-log.ts`, [
    "case 'commit-failed':\n        return this.#fail(event.error)",
    "case 'commit-failed':\n        return this.#durable()",
  ]),
  mutant('ack of a repeat with the place of another', `${BROKER}/publishers.ts`, [
    'offset: span.offset + from - span.sequence })',
    'offset: span.offset })',
  ]),

  // What is stored once
  mutant('no dedupe', `${BROKER}/publishers.ts`, [
    'return { repeats: Math.min(count, Math.max(0, mark.last - first + 1)) }',
    'return { repeats: 0 }',
  ]),
  mutant('marks that are not stored with their messages', `${BROKER}/checkpoint.ts`, [
    'publishers.record(key, { first, count, offset, at: time })',
    '',
  ]),
  mutant('marks that a checkpoint loses', `${BROKER}/journal.ts`, [
    '...writeBuckets(this.#publishers, this.#dirty)',
    '...writeBuckets(new Publishers(), this.#dirty)',
  ]),
  mutant('any higher sequence accepted', `${BROKER}/publishers.ts`, [
    'if (after > mark.last) return',
    'if (after > mark.last + 1e9) return',
  ]),
  mutant('offsets used again when all was trimmed', `${BROKER}/checkpoint.ts`, [
    'let { next: head, bytes, at } = index',
    'let { bytes, at } = index\n  let head = index.segments.length > 0 ? index.next : 0',
  ]),

  // What is sent
  mutant('resend without the oldest', `${CLIENT}/publisher.ts`, [
    'rewind(): void {\n    this.#next = this.#start',
    'rewind(): void {\n    this.#next = Math.min(this.#start + 1, this.#entries.length)',
  ]),
  mutant('a refusal that consumes its number', `${BROKER}/journal.ts`, [
    'if (end < lines.count) fates.push(...rest({ first, end, count: lines.count }, refused))',
    'if (end < lines.count) { fates.push(...rest({ first, end, count: lines.count }, refused)); if (refused?.index === end) this.#publishers.record(key, { first: first + end, count: 1, offset: -1, at: this.#now }) }',
  ]),
  mutant('a refusal that blocks those behind it', `${CLIENT}/sending.ts`, [
    "if (this.#hold === 'note') this.#hold = 'answers'",
    '',
  ]),
  mutant('a refused token that drops the outbox', `${CLIENT}/session.ts`, [
    "this.#enter('stuck', reason)",
    "this.#options.publisher().clear(); this.#enter('stuck', reason)",
  ]),

  // What is delivered
  mutant('off-by-one resume', `${CLIENT}/following.ts`, [
    'subscription.from = makeCursor(epoch, next)',
    'subscription.from = makeCursor(epoch, next + 1)',
  ]),
  mutant('cursor before handler', `${CLIENT}/consumer.ts`, [
    'const pending = handler(walk.message(read))',
    'this.#moved(makeCursor(epoch, walk.offset + 1), undefined); const pending = handler(walk.message(read))',
  ]),
  mutant('a message counted as handled because its subscription was stopped', `${CLIENT}/consumer.ts`, [
    'this.#moved(makeCursor(item.epoch, item.walk.offset), undefined)',
    'this.#moved(makeCursor(item.epoch, item.walk.offset + 1), undefined)',
  ]),
  mutant('frames after the end of a subscription', `${BROKER}/subscriptions.ts`, [
    'ofLink.delete(id)\n    this.#unfollow(subscription)',
    'ofLink.delete(id)',
  ]),
  mutant('subscriptions forgotten in hibernation', `${BROKER}/topic-log.ts`, [
    'effects.push(...subscriptions.flatMap((state) => this.#subscriptions.restore(may, link, state)))',
    'effects.push()',
  ]),
  mutant('keys of a cut range out of place', `${BROKER}/range.ts`, [
    'if (keys) cut.keys = keys.slice(from, to)',
    'if (keys) cut.keys = keys.slice(0, to - from)',
  ]),
  mutant('names of a cut range out of place', `${BROKER}/range.ts`, [
    'if (ids) cut.ids = [ids[0], ids[1] + from]',
    'if (ids) cut.ids = ids',
  ]),
  mutant('history that begins one too late', `${BROKER}/history.ts`, [
    'const high = params.reverse ? offset : Math.min(head, start + params.limit, chunks.at(-1)?.next ?? start)',
    'const high = params.reverse ? offset - 1 : Math.min(head, start + params.limit, chunks.at(-1)?.next ?? start)',
  ]),

  // What is missing
  mutant('silent gap', `${BROKER}/subscriptions.ts`, [
    'if (from > subscription.next) effects.push(this.#skip(subscription, from, here))',
    'if (from > subscription.next) this.#skip(subscription, from, here)',
  ]),
  mutant('gap applied twice', `${CLIENT}/following.ts`, [
    'const subscription = this.#at({ subscription: params.subscription, first: from })',
    'const subscription = [...this.#subscriptions.values()].find(({ id, on }) => on && id === params.subscription)',
  ]),
  mutant('gap that hides a kept message', `${BROKER}/subscriptions.ts`, [
    'const from = Math.max(subscription.next, floor)',
    'const from = floor > subscription.next ? Math.min(floor + 1, this.#head) : subscription.next',
  ]),
  mutant('trim that does not move readers', `${BROKER}/subscriptions.ts`, [
    'const from = Math.max(subscription.next, floor)',
    'const from = subscription.next',
  ]),
  mutant('retention that takes one too many', `${BROKER}/retention.ts`, [
    'messages !== undefined && kept.messages >= messages',
    'messages !== undefined && kept.messages + 1 >= messages',
  ]),
  mutant('another epoch ignored', `${BROKER}/topic-log.ts`, [
    "if (epoch !== this.#epoch) return { offset: to, gap: { from: offset, to, reason: 'epoch' } }",
    '',
  ]),

  // What is bounded, and who may
  mutant('credit ignored', `${BROKER}/subscriptions.ts`, [
    "return 'window' in credit ? credit.window > 0 : at < credit.through",
    'return true || (credit && at)',
  ]),
  mutant('credit not given back', `${CLIENT}/following.ts`, [
    'handled - granted < window / 2',
    'handled - granted < window * 1e9',
  ]),
  mutant('links that outlive their tokens', `${BROKER}/topic-log.ts`, [
    "if (expired(identity, nowMs)) effects.push(...this.#expel(link, null, fault('token_expired')))\n      else if",
    'if',
  ]),

  // Rights that change
  mutant('a right that is taken away in the middle of a replay', `${BROKER}/topic-log.ts`, [
    'if (this.#subscriptions.count(link) > 0 && readsLess(before, identity))',
    'if (this.#subscriptions.count(link) < 0 && readsLess(before, identity))',
  ]),
  mutant('a bound of history that moved and ends no subscription', `${BROKER}/rights.ts`, [
    '(after.historyFrom ?? 0) > (before.historyFrom ?? 0) ||',
    '',
  ]),
  mutant('history without its bound', `${BROKER}/topic-log.ts`, [
    'const { historyFrom = 0, limits } = identity\n',
    'const { limits } = identity\n    const historyFrom = 0\n',
  ]),
  mutant('a page of history that nobody may read any more', `${BROKER}/topic-log.ts`, [
    "const may = authorize(from.identity, 'history')\n    if ('code' in may) return answerError(history.link, history.id, may)",
    "const may = authorize({ ...from.identity, rights: 8 }, 'history')\n    if ('code' in may) return []",
  ]),
  mutant('a right to publish that is looked at once for each link', `${BROKER}/topic-log.ts`, [
    'from.identity = identity\n',
    'from.identity = { ...identity, rights: identity.rights | (before.rights & 1) }\n',
  ]),
  mutant('a repeat refused because the right is gone by now', `${BROKER}/publishers.ts`, [
    'if (repeats === 0) return reason',
    'if (repeats >= 0) return reason',
  ]),
  mutant('nothing said of what may not be read', `${BROKER}/topic-log.ts`, [
    "if (offset < bound) return { next: bound, gap: { from: gap?.from ?? offset, to: bound, reason: 'access' } }",
    'if (offset < bound) return { next: bound }',
  ]),
  mutant('links that wake with the rights that they had', 'test/sim/server.ts', [
    'const identity = this.#world.rights?.judge(before) ?? before',
    'const identity = before',
  ]),
]
