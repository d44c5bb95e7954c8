import { onTestFinished } from 'vitest'
import type { PolicyDocument } from '../../packages/edge/src/access/document.ts'
import { Client, makeToken, SECRET, upgradeRequest } from './client.ts'
import { QueueLink } from './queue-link.ts'

/** Groups are believed only of this issuer. */
export const ISSUER = 'https://login.example'

export const ROOT = 'root'

/** A member of a group, as claims of a token. */
export const member = (...groups: string[]) => ({ iss: ISSUER, groups })

export interface Answer {
  readonly status: number
  readonly body: Record<string, unknown> & { readonly version: number; readonly error?: { readonly code: string } }
}

/** The Worker; its types are unknown where this file is read, too. */
interface Server<E> {
  readonly fetch: (request: Request, env: E) => Response | Promise<Response>
}

/** A deployment as its administrators and users see it. `ADMINS` is `root` unless told otherwise. */
export class Deployment<E extends object> {
  readonly vars: E
  readonly #server: Server<E>
  readonly #settings: E

  /** @param settings what objects read; the Worker's own are made from it */
  constructor(server: Server<E>, settings: E, vars: Partial<E> = {}) {
    Object.assign(settings, { TOKEN_SECRET: SECRET, TOKEN_GROUP_ISSUERS: ISSUER })
    this.#server = server
    this.#settings = settings
    this.vars = { ...settings, ADMINS: ROOT, ...vars }
  }

  async open(topic: string, user: string, claims: object = {}): Promise<Client> {
    const request = upgradeRequest(topic, await makeToken({ sub: user, ...claims }))
    return new Client(await this.#server.fetch(request, this.vars), topic)
  }

  async greeted(topic: string, user: string, claims: object = {}): Promise<Client> {
    const client = await this.open(topic, user, claims)
    await client.hello()
    return client
  }

  async openQueue(queue: string, user: string, claims: object = {}): Promise<QueueLink> {
    const request = upgradeRequest(queue, await makeToken({ sub: user, ...claims }), {}, 'queues')
    return new QueueLink(await this.#server.fetch(request, this.vars), queue)
  }

  async greetedQueue(queue: string, user: string, claims: object = {}): Promise<QueueLink> {
    const link = await this.openQueue(queue, user, claims)
    await link.hello()
    return link
  }

  async call(call: string, body?: object, user = ROOT, claims: object = {}): Promise<Answer> {
    const [method, path] = call.split(' ') as [string, string]
    const request = new Request(`https://mess.test/v1/admin${path}`, {
      method,
      headers: { authorization: `Bearer ${await makeToken({ sub: user, ...claims })}` },
      ...(body && { body: JSON.stringify(body) }),
    })
    const response = await this.#server.fetch(request, this.vars)
    return { status: response.status, body: await response.json() }
  }

  /** Sets the policy, and takes it back after the test: others live by the one that was there. */
  async setPolicy(document: Partial<PolicyDocument>): Promise<Answer> {
    const root = new Deployment(this.#server, this.#settings)
    const set = async (next: object) => {
      const { version } = (await root.call('GET /policy')).body
      return root.call('PUT /policy', { ...next, ifVersion: version })
    }
    const { rules, grants, tests } = (await root.call('GET /policy')).body
    onTestFinished(async () => void (await set({ rules, grants, tests })))
    const done = await set(document)
    // A change that is meant to be refused is not made through here.
    if (done.status !== 200) throw new Error(JSON.stringify(done))
    return done
  }
}
