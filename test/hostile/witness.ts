import { createMess, type Mess } from '@messkit/sdk'
import { runProxy, type TestProxy } from '../support/proxy.ts'
import type { TestServer } from '../support/server.ts'
import { goodToken } from './case.ts'

const BEAT_MS = 30_000
const WITNESS = 'witness'

interface Beat {
  readonly by: typeof WITNESS
  readonly number: number
}

/**
 * A healthy publisher and a healthy subscriber on a server under attack, by the SDK. Everything that is published must arrive, once and in
 * order, over connections that never break: a proxy counts them.
 */
export class Witness {
  readonly topic: string
  readonly #clients: readonly Mess[]
  readonly #proxy: TestProxy
  readonly #publish: (beat: Beat) => PromiseLike<unknown>
  #published = 0
  /** What came of our own, in the order in which it came. */
  readonly #seen: number[] = []
  /** What others have stored in the topic. */
  others = 0
  readonly #waiting = new Map<number, () => void>()
  readonly latenciesMs: number[] = []

  private constructor(topic: string, proxy: TestProxy, [publisher, subscriber]: readonly [Mess, Mess]) {
    this.topic = topic
    this.#proxy = proxy
    this.#clients = [publisher, subscriber]
    const source = publisher.topic<Beat>(topic)
    this.#publish = (beat) => source.publish(beat)
    this.subscription = subscriber.topic<Beat>(topic).subscribe(({ data }) => this.#see(data))
  }

  private readonly subscription: { readonly ready: Promise<unknown> }

  static async start(server: TestServer, topic: string): Promise<Witness> {
    const proxy = await runProxy(server.port)
    const make = () => createMess({ url: proxy.url, token: () => goodToken({ sub: WITNESS }) })
    const witness = new Witness(topic, proxy, [make(), make()])
    await witness.subscription.ready
    await witness.beat()
    return witness
  }

  /** One message, there and acked. */
  async beat(): Promise<void> {
    const number = this.#published++
    const startedAt = performance.now()
    const arrived = new Promise<void>((resolve) => this.#waiting.set(number, resolve))
    const acked = this.#publish({ by: WITNESS, number })
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`${this.topic}: message ${number} did not arrive`)), BEAT_MS)
    })
    try {
      await Promise.race([arrived.then(() => this.latenciesMs.push(performance.now() - startedAt)), late])
      await Promise.race([acked, late])
    } finally {
      clearTimeout(timer)
    }
  }

  #see(data: Beat): void {
    if (data?.by !== WITNESS) {
      this.others++
      return
    }
    this.#seen.push(data.number)
    this.#waiting.get(data.number)?.()
    this.#waiting.delete(data.number)
  }

  get published(): number {
    return this.#published
  }

  get delivered(): number {
    return this.#seen.length
  }

  /** What should not have been: a message lost, doubled or out of order, a connection broken. */
  problems(): string[] {
    const misplaced = this.#seen.findIndex((number, i) => number !== i)
    const { count } = this.#proxy
    return [
      ...(this.#seen.length === this.#published
        ? []
        : [`${this.#published} published, ${this.#seen.length} delivered`]),
      ...(misplaced === -1 ? [] : [`message ${this.#seen[misplaced]} came as number ${misplaced}`]),
      ...(count === this.#clients.length ? [] : [`${count} connections instead of ${this.#clients.length}`]),
    ].map((problem) => `${this.topic}: ${problem}`)
  }

  async end(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()))
    await this.#proxy.end()
  }
}

/** @param share 0.5 for the median */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}
