import type { Random } from '../sim/random.ts'
import type { TestServer } from '../support/server.ts'
import { type Client, pause, tokenOf } from './client.ts'
import type { HistoryRecorder } from './recorder.ts'

/** Who may change the rules of every topic. */
export const ADMIN = 'root'
/** Rights that are taken away and given back. */
const TAKEN = ['publish', 'subscribe', 'history'] as const
type Taken = (typeof TAKEN)[number]

/** How long an administrator waits before asking again, in ms, and how often. */
const AGAIN_MS = 10
const PATIENCE = 500

/**
 * The own rules of a topic, as its administrator changes them over HTTP while it is used and its server dies. What is taken away is written
 * down once that is acknowledged, what is given back before it is asked for.
 */
export class TopicRights {
  /** Ever changed: then there may be gaps for want of a right. */
  changed = false
  readonly #server: TestServer
  readonly #topic: string
  readonly #random: Random
  readonly #recorder: HistoryRecorder
  readonly #denied = new Map<Client, Set<Taken>>()

  constructor(server: TestServer, topic: string, { random, recorder }: { random: Random; recorder: HistoryRecorder }) {
    this.#server = server
    this.#topic = topic
    this.#random = random
    this.#recorder = recorder
  }

  async take(clients: readonly Client[]): Promise<void> {
    const right = this.#random.pick(TAKEN)
    const users = clients.filter(({ reader, writer }) => (right === 'publish' ? writer : reader))
    const client = this.#random.pick(users.length > 0 ? users : clients)
    const denied = this.#denied.get(client) ?? new Set()
    this.#denied.set(client, denied.add(right))
    this.changed = true
    await this.#put()
    const { reader, writer } = client
    if (right === 'subscribe' && reader) this.#recorder.push({ e: 'revoked', sub: reader.name })
    if (right === 'publish' && writer) this.#recorder.push({ e: 'denied', publisher: writer.name })
  }

  async giveBack(): Promise<boolean> {
    if (this.#denied.size === 0) return false
    for (const [{ reader, writer }, denied] of this.#denied) {
      if (denied.has('subscribe') && reader) this.#recorder.push({ e: 'granted', sub: reader.name })
      if (denied.has('publish') && writer) this.#recorder.push({ e: 'allowed', publisher: writer.name })
    }
    this.#denied.clear()
    await this.#put()
    return true
  }

  /** Who takes the place of a client has what it had. */
  moved(from: Client, to: Client): void {
    const denied = this.#denied.get(from)
    this.#denied.delete(from)
    if (denied) this.#denied.set(to, denied)
  }

  #put(): Promise<void> {
    const rules = [...this.#denied].flatMap(([{ user }, denied]) =>
      [...denied].map((right) => `acl deny user:${user} ${right} topic`),
    )
    return putRules(this.#server, `topics/${this.#topic}`, rules)
  }
}

/**
 * The own rules of a topic or queue from now on. Asked until it is answered: while the server is down nothing is.
 * @param resource as in `topics/name`
 */
export async function putRules(server: TestServer, resource: string, rules: readonly string[]): Promise<void> {
  for (let tries = 0; tries < PATIENCE; tries++) {
    const done = await tryPutRules(server, resource, rules.join('\n')).catch(() => false)
    if (done) return
    await pause(AGAIN_MS)
  }
  throw new Error(`the rules of ${resource} could not be changed`)
}

async function tryPutRules(server: TestServer, resource: string, rules: string): Promise<boolean> {
  const url = `${server.url}/v1/admin/access/${resource}`
  const headers = { authorization: `Bearer ${await tokenOf(ADMIN)}` }
  const { version: ifVersion } = (await (await fetch(url, { headers })).json()) as { version: number }
  const response = await fetch(url, {
    method: 'PUT',
    headers: { ...headers, 'content-type': 'application/json' },
    body: JSON.stringify({ rules, ifVersion }),
  })
  return response.ok
}
