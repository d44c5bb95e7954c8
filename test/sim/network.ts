import type { World } from './world.ts'

/** What the client's end of a connection hears. */
export interface ClientEnd {
  opened(): void
  heard(text: string): void
  lost(code: number | undefined): void
}

/**
 * One connection with two directions, each in order like TCP. It can be cut (both ends learn of it, sooner or later), or become
 * half open: nothing passes, nobody is told, and by chance what was held back arrives much later.
 */
export class Connection {
  readonly #world: World
  readonly #client: ClientEnd
  #link: number | undefined
  #state: 'connecting' | 'open' | 'half-open' | 'ended' = 'connecting'
  readonly #lastAt = { up: 0, down: 0 }
  readonly #held: (() => void)[] = []

  constructor(world: World, client: ClientEnd) {
    this.#world = world
    this.#client = client
    this.#pass('up', () => {
      if (this.#state !== 'connecting') return
      if (!world.server.up) return this.#end(() => client.lost(undefined))
      this.#state = 'open'
      this.#link = world.server.accept(this)
      this.#pass('down', () => client.opened())
    })
  }

  toServer(text: string): void {
    this.#pass('up', () => {
      if (this.#link !== undefined) this.#world.server.receive(this.#link, text)
    })
  }

  toClient(text: string): void {
    this.#pass('down', () => this.#client.heard(text))
  }

  /** The client lets go. The server may not hear of it for a while, and still gets what was sent before. */
  clientCloses(): void {
    if (this.#state === 'ended') return
    const link = this.#link
    this.#world.clock.in(this.#world.random.next() * 30_000, () => {
      if (link !== undefined) this.#world.server.gone(link)
    })
  }

  serverCloses(code: number): void {
    this.#pass('down', () => this.#end(() => this.#client.lost(code)))
  }

  serverGone(): void {
    // The machine is down: a reset reaches the client, or nothing does.
    if (this.#state === 'half-open' || this.#world.random.chance(0.1)) this.#state = 'half-open'
    else this.#world.clock.in(this.#world.random.next() * 100, () => this.#end(() => this.#client.lost(1006)))
  }

  cut(): void {
    if (this.#state !== 'open') return
    this.#world.count('cut')
    const link = this.#link
    this.#end(() => this.#client.lost(1006))
    if (link !== undefined) this.#world.server.gone(link)
  }

  halfOpen(): void {
    if (this.#state !== 'open') return
    this.#world.count('half open')
    this.#state = 'half-open'
    // What was held back comes out after the client has long opened another connection.
    if (this.#world.random.chance(0.5)) {
      this.#world.clock.in(this.#world.random.between(1_000, 60_000), () => {
        if (this.#state !== 'half-open') return
        this.#state = 'open'
        if (this.#held.length > 0) this.#world.count('late frames')
        for (const arrive of this.#held.splice(0)) arrive()
      })
    }
  }

  heal(): void {
    if (this.#state === 'half-open') this.#end(() => this.#client.lost(1006))
  }

  #end(tell: () => void): void {
    if (this.#state === 'ended') return
    this.#state = 'ended'
    tell()
  }

  #pass(direction: 'up' | 'down', arrive: () => void): void {
    const { clock, random, swarm } = this.#world
    // What is due at one time runs in any order; frames of one direction must not.
    const at = Math.max(this.#lastAt[direction] + 0.001, clock.now + random.next() * swarm.delayMs)
    this.#lastAt[direction] = at
    clock.at(at, () => {
      if (this.#state === 'ended') return
      if (this.#state === 'half-open') this.#held.push(arrive)
      else arrive()
    })
  }
}
