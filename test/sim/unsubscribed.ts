import type { Frame } from '../../packages/sdk/src/protocol/codec.ts'
import type { World } from './world.ts'

/** Frames with messages are longer, and need not be looked through. */
const UNSUBSCRIBE_CHARS = 120
const UNSUBSCRIBE = '"method":"unsubscribe"'

/** Watches one connection from its client's end: nothing may come for a subscription once its end was answered. */
export class Unsubscribed {
  readonly #world: World
  readonly #asked = new Map<number, number>()
  readonly #left = new Set<number>()

  constructor(world: World) {
    this.#world = world
  }

  sent(text: string): void {
    if (text.length > UNSUBSCRIBE_CHARS || !text.includes(UNSUBSCRIBE)) return
    const { id, params } = JSON.parse(text) as { id: number; params: { subscription: number } }
    this.#asked.set(id, params.subscription)
  }

  heard({ id, method, params }: Frame): void {
    if (typeof id === 'number') {
      const left = this.#asked.get(id)
      if (left !== undefined) this.#left.add(left)
    } else if (method === 'deliver' && this.#left.size > 0) {
      const { subscription } = params as { subscription: number }
      const value = this.#left.has(subscription) ? 1 : 0
      this.#world.record({ e: 'sample', bound: 'frames after the end of a subscription', value, limit: 0 })
    }
  }
}
