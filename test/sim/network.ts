import type { ServerEnd } from './server.ts'
import type { World } from './world.ts'

/** What the client's end of a connection hears. */
export interface ClientEnd {
  opened(): void
  heard(text: string): void
  lost(code: number | undefined): void
}

const DIRECTIONS = ['up', 'down'] as const
type Direction = (typeof DIRECTIONS)[number]

/**
 * One connection with two directions, each in order like TCP. It can be cut (each end learns of it, sooner or later), or become
 * half open: nothing passes in one direction or in both, nobody is told, and by chance what was held back arrives much later. A frame
 * may arrive twice, which no socket does: it stands for everything between that sends again.
 */
export class Connection {
  readonly #world: World
  readonly #client: ClientEnd
  #end: ServerEnd | undefined
  #left = false
  #state: 'connecting' | 'open' | 'ended' = 'connecting'
  readonly #lastAt = { up: 0, down: 0 }
  /** What a direction holds back while nothing passes it. */
  readonly #held: { [D in Direction]?: (() => void)[] } = {}

  constructor(world: World, client: ClientEnd, token?: string) {
    this.#world = world
    this.#client = client
    if (world.chance(world.swarm.hangingConnects)) {
      world.fault('connect hangs')
      this.block()
      return
    }
    this.#pass('up', () => {
      if (this.#state !== 'connecting') return
      if (!world.server.up) return this.#ended(() => client.lost(undefined))
      this.#state = 'open'
      this.#pass('down', () => client.opened())
      this.#end = world.server.accept(this, token)
    })
  }

  toServer(text: string): void {
    this.#frame('up', () => {
      if (this.#end) this.#world.server.receive(this.#end, text)
    })
  }

  toClient(text: string): void {
    this.#frame('down', () => this.#client.heard(text))
  }

  /** Whether the client has let go of it. */
  get left(): boolean {
    return this.#left
  }

  /** The client lets go. The server may not hear of it for a while, and still gets what was sent before. */
  clientCloses(): void {
    this.#left = true
    if (this.#state !== 'ended') this.#serverLearns()
  }

  serverCloses(code: number): void {
    this.#pass('down', () => this.#ended(() => this.#client.lost(code)))
  }

  serverGone(): void {
    this.#end = undefined
    // The machine is down: a reset reaches the client, or nothing does.
    if (this.#blocked || this.#world.random.chance(0.1)) this.block()
    else this.#world.clock.in(this.#world.random.next() * 100, () => this.#ended(() => this.#client.lost(1006)))
  }

  cut(): void {
    if (this.#state !== 'open') return
    this.#world.fault('cut')
    this.#ended(() => this.#client.lost(1006))
    this.#serverLearns()
  }

  halfOpen(): void {
    if (this.#state !== 'open') return
    this.#world.fault('half open')
    this.block(...this.#world.random.pick([DIRECTIONS, ['up'], ['down']] as const))
    // What was held back comes out after the client has long opened another connection.
    if (this.#world.random.chance(0.8))
      this.#world.clock.in(this.#world.random.between(1_000, 40_000), () => this.#open())
  }

  #open(): void {
    if (this.#state !== 'open') return
    for (const direction of DIRECTIONS) {
      const held = this.#held[direction] ?? []
      delete this.#held[direction]
      if (held.length > 0) this.#world.fault('late frames')
      for (const arrive of held) arrive()
    }
  }

  /** Nothing arrives for a while, and then all of it. */
  stall(): void {
    if (this.#state !== 'open') return
    const { clock, random } = this.#world
    this.#world.fault('stalled link')
    const direction = random.pick(['up', 'down'] as const)
    this.#lastAt[direction] = Math.max(this.#lastAt[direction], clock.now + random.between(1_000, 30_000))
  }

  heal(): void {
    if (this.#blocked) this.#ended(() => this.#client.lost(1006))
  }

  /** Nothing passes any more, and nobody is told. */
  block(...directions: readonly Direction[]): void {
    for (const direction of directions.length > 0 ? directions : DIRECTIONS) this.#held[direction] ??= []
  }

  get #blocked(): boolean {
    return DIRECTIONS.some((direction) => this.#held[direction] !== undefined)
  }

  #serverLearns(): void {
    const { clock, random, server } = this.#world
    const end = this.#end
    if (end) clock.in(random.pick([0, 1_000, 30_000]) * random.next(), () => server.gone(end))
  }

  #ended(tell: () => void): void {
    if (this.#state === 'ended') return
    this.#state = 'ended'
    tell()
  }

  #frame(direction: Direction, arrive: () => void): void {
    this.#pass(direction, arrive)
    if (!this.#world.chance(this.#world.swarm.duplicateFrames)) return
    this.#world.fault('duplicated frame')
    this.#pass(direction, arrive)
  }

  #pass(direction: Direction, arrive: () => void): void {
    const { clock, random, swarm } = this.#world
    // What is due at one time runs in any order; frames of one direction must not.
    const at = Math.max(this.#lastAt[direction] + 0.001, clock.now + random.next() * swarm.delayMs)
    this.#lastAt[direction] = at
    clock.at(at, () => {
      if (this.#state === 'ended') return
      const held = this.#held[direction]
      if (held) held.push(arrive)
      else arrive()
    })
  }
}
