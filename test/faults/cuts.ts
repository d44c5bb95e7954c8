import { isDeepStrictEqual } from 'node:util'
import { createMess } from '@messkit/sdk'
import { runProxy, type TestProxy } from '../support/proxy.ts'
import { makeToken, runServer, type TestServer } from '../support/server.ts'

export type Direction = 'up' | 'down'

interface Exchange {
  /** Up to the last message; what closes the connection is not counted. */
  readonly bytes: Record<Direction, number>
  readonly offsets: readonly (number | undefined)[]
  /** By a subscriber from the start, and by somebody else afterwards. */
  readonly seen: readonly string[]
  readonly stored: readonly string[]
  readonly connections: number
}

const MESSAGES = ['0: first', '1: second', '2: third']

/**
 * One client's conversation with a server: shake hands, subscribe, publish, be acked, see what it published. It is the same to the
 * byte each time, so it can be cut at every byte. Where a cut is survived, one more connection is made, and nothing is lost and
 * nothing is there twice.
 */
export class Cuts {
  readonly #server: TestServer
  readonly #proxy: TestProxy
  readonly #token: string
  #count = 0

  private constructor(server: TestServer, proxy: TestProxy, token: string) {
    this.#server = server
    this.#proxy = proxy
    this.#token = token
  }

  static async start(): Promise<Cuts> {
    const server = await runServer()
    return new Cuts(server, await runProxy(server.port), await makeToken())
  }

  /** How many bytes go each way where nothing is cut. */
  async bytes(): Promise<Record<Direction, number>> {
    const { bytes } = await this.#exchange()
    return bytes
  }

  /** Ends the connection after so many bytes. @returns what was wrong then */
  async at(direction: Direction, position: number): Promise<string | undefined> {
    this.#proxy[direction].cutAfter = position
    const { bytes: _, ...exchange } = await this.#exchange()
    const expected = { offsets: [0, 1, 2], seen: MESSAGES, stored: MESSAGES, connections: 2 }
    if (isDeepStrictEqual(exchange, expected)) return undefined
    return `cut ${direction} after byte ${position}: ${JSON.stringify(exchange)}`
  }

  async end(): Promise<void> {
    await this.#proxy.end()
    await this.#server.end()
  }

  async #exchange(): Promise<Exchange> {
    const { count, up, down } = this.#proxy
    const before = { up: up.bytes, down: down.bytes }
    const name = `cut/${++this.#count}`.padEnd(40, '-')
    const mess = createMess({ url: this.#proxy.url, token: () => this.#token, reconnect: { minMs: 1, maxMs: 1 } })
    const topic = mess.topic<string>(name)
    const seen: string[] = []
    const all = new Promise<void>((resolve) => {
      const take = ({ offset, data }: { offset: number; data: string }): void => {
        seen.push(`${offset}: ${data}`)
        if (data === 'third') resolve()
      }
      topic.subscribe(take, { from: 'start', onGap: (gap) => void seen.push(`gap ${JSON.stringify(gap)}`) })
    })
    const first = await topic.publish('first')
    const rest = await Promise.all([topic.publish('second'), topic.publish('third')])
    await all
    const bytes = { up: up.bytes - before.up, down: down.bytes - before.down }
    const connections = this.#proxy.count - count
    await mess.close()
    const offsets = [first, ...rest].map(({ offset }) => offset)
    return { bytes, offsets, seen, stored: await this.#read(name), connections }
  }

  async #read(name: string): Promise<string[]> {
    const mess = createMess({ url: this.#server.url, token: () => this.#token })
    const { messages } = await mess.topic<string>(name).history()
    await mess.close()
    return messages.map(({ offset, data }) => `${offset}: ${data}`)
  }
}

/** Every byte of the conversation, each way. */
export async function cutEverywhere(tell: (line: string) => void) {
  const wrong: string[] = []
  const cutAll = async (direction: Direction): Promise<number> => {
    const cuts = await Cuts.start()
    const total = (await cuts.bytes())[direction]
    for (let position = 0; position < total; position++) {
      const found = await cuts.at(direction, position)
      if (!found) continue
      wrong.push(found)
      tell(`${found}\n  npm run faults -- --histories 0 --cuts`)
    }
    await cuts.end()
    return total
  }
  const [up, down] = await Promise.all([cutAll('up'), cutAll('down')])
  return { cuts: { up, down }, wrong }
}
