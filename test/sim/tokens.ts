import type { Identity } from '../../packages/sdk/src/broker/machine.ts'
import { ALL_RIGHTS } from '../../packages/sdk/src/broker/machine.ts'
import { type Fault, fault } from '../../packages/sdk/src/protocol/error-codes.ts'
import type { World } from './world.ts'

/** An application waits this long for a token (`client/token.ts`), in ms. */
const PATIENCE_MS = 30_000
/** As the edge grants it to the clocks of issuers. */
const LEEWAY_MS = 10_000

/** What asking for a token led to, after a while: none where the login server is down or too slow. */
export interface Asked {
  readonly afterMs: number
  readonly token: string | undefined
}

/** The login server, whose clock is right, and the check of its tokens. */
export class Issuer {
  readonly #world: World
  #locked: string | undefined
  /** Until when anything that was issued to the locked out is good. */
  #lastUntil = 0

  constructor(world: World) {
    this.#world = world
  }

  /** From now on this user gets none that is any good. @returns when the last one ends */
  lockOut(user: string): number {
    this.#locked = user
    return this.#lastUntil
  }

  ask(user: string): Asked {
    const { clock, random, swarm } = this.#world
    const tokens = swarm.tokens
    if (!tokens) return { afterMs: 0, token: undefined }
    if (this.#happens(tokens.slow, 'token late')) return { afterMs: PATIENCE_MS, token: undefined }
    const afterMs = random.next() * 500
    if (this.#happens(tokens.failing, 'token failed')) return { afterMs, token: undefined }
    if (this.#happens(tokens.bad, 'bad token')) return { afterMs, token: 'nonsense' }
    const owner = this.#happens(tokens.foreign, 'foreign token') ? 'somebody' : user
    const expired = user === this.#locked || this.#happens(tokens.expired, 'expired token')
    const until = clock.wall + (expired ? -1 : Math.ceil(tokens.lifeMs * (0.75 + random.next() / 4)))
    this.#lastUntil = Math.max(this.#lastUntil, until)
    return { afterMs, token: `${owner} ${clock.wall} ${until}` }
  }

  /** As the edge does, by the clock of the server. */
  verify(token: string | undefined, nowMs: number): Identity | Fault {
    if (!this.#world.swarm.tokens) return { key: 'issuer user', rights: ALL_RIGHTS }
    const [user, from, until] = token?.split(' ') ?? []
    if (user === undefined || until === undefined) return fault('token_invalid')
    if (Number(until) <= nowMs) return fault('token_expired')
    if (Number(from) > nowMs + LEEWAY_MS) return fault('token_not_yet_valid')
    return { key: `issuer ${user}`, user, rights: ALL_RIGHTS, expiresAt: Number(until) }
  }

  #happens(probability: number, kind: string): boolean {
    if (!this.#world.chance(probability)) return false
    this.#world.fault(kind)
    return true
  }
}
