import { type AskToken, type Cursor, createMess, type Mess, type Topic } from '@messkit/sdk'
import type { Random } from '../sim/random.ts'
import { type Note, Reader, Writer } from '../support/actors.ts'
import type { TestProxy } from '../support/proxy.ts'
import { makeToken } from '../support/server.ts'
import type { HistoryRecorder } from './recorder.ts'

/** How the application's own login behaves towards a client. Who is refused is given a good one when asked again. */
export type Login = 'good' | 'short tokens' | 'refused tokens' | 'down at times'

export interface ClientSetup {
  readonly name: string
  readonly topic: string
  readonly proxy: TestProxy
  readonly random: Random
  readonly recorder: HistoryRecorder
  readonly login: Login
  /** As its tokens name it. */
  readonly user: string
  /** The client reported what nothing in a history should bring about. */
  readonly complain: (what: string) => void
}

/** A client in this process, behind a proxy of its own: perhaps a writer, perhaps a reader. */
export class Client {
  readonly name: string
  readonly user: string
  readonly proxy: TestProxy
  writer: Writer | undefined
  reader: Reader | undefined
  readonly #setup: ClientSetup
  readonly #mess: Mess
  readonly #topic: Topic<Note>
  readonly #pads: readonly (string | undefined)[]

  constructor(setup: ClientSetup) {
    const { name, user, topic, proxy, random, recorder, login, complain } = setup
    this.#setup = setup
    this.name = name
    this.user = user
    this.proxy = proxy
    this.#pads = random.pick(PADS)
    const reconnect = { minMs: 1, maxMs: random.pick([1, 20, 60]) }
    this.#mess = createMess({ url: proxy.url, token: tokens(login, user, { random, recorder }), reconnect })
    this.#mess.on('error', ({ code, message }) => {
      // Who is turned away is told so; whether rightly, the history says.
      if (code !== 'token_unavailable' && code !== 'forbidden') complain(`${name} reported ${code}: ${message}`)
    })
    this.#topic = this.#mess.topic<Note>(topic)
  }

  write(): Writer {
    const { random, recorder, name } = this.#setup
    this.writer = new Writer(this.#topic, name, recorder, () => random.pick(this.#pads))
    return this.writer
  }

  /** @param name of the reader, which may have been another client's */
  read(name: string, from: 'start' | 'now' | Cursor, resumed = false): Reader {
    const { random, recorder } = this.#setup
    const slowness = random.pick([undefined, undefined, 0, 1, 4])
    const handle = (): Promise<void> | undefined =>
      slowness === undefined || random.chance(0.9) ? undefined : pause(slowness)
    this.reader = new Reader(this.#topic, recorder, { name, from, resumed, resume: 'reader', handle })
    return this.reader
  }

  /** Ends the subscription and begins it again by its name, in the same client. */
  resume(): void {
    if (!this.reader?.position) return
    const { name, position } = this.reader
    this.reader.stop()
    this.read(name, position, true)
  }

  /**
   * What the machine would do to a process that dies: connections are reset, and memory is gone.
   * @returns where its reader would go on, had it written that down
   */
  async crash(): Promise<void> {
    this.writer?.crashed()
    this.reader?.stop()
    this.proxy.refusing = true
    this.proxy.cut('reset')
    await this.close()
  }

  async close(): Promise<void> {
    await this.#mess.close()
    await this.proxy.end()
  }

  get status(): Mess['status'] {
    return this.#mess.status
  }
}

/** Text of one to three bytes a character, so that bytes and characters are told apart. */
export const pad = (chars: number): string => 'aé€ '.repeat(chars / 4)
const PADS: readonly (readonly (string | undefined)[])[] = [
  [undefined],
  [undefined, pad(100)],
  [pad(4_000)],
  [undefined, pad(400), pad(12_000)],
]

export function tokens(
  login: Login,
  sub: string,
  { random, recorder }: { random: Random; recorder: { fault(kind: string): void } },
): AskToken {
  const inMs = (ms: number): Promise<string> => tokenOf(sub, { exp: (Date.now() + ms) / 1000 })
  const good = (): Promise<string> => tokenOf(sub)
  return ({ why }) => {
    if (login === 'good') return good()
    if (login === 'refused tokens') {
      if (why === 'refused') return good()
      recorder.fault('token refused')
      return inMs(-1_000)
    }
    if (login === 'down at times' && random.chance(0.4)) {
      recorder.fault('login down')
      throw new Error('the login is down')
    }
    if (why === 'first') return inMs(random.between(50, 400))
    recorder.fault('token expired')
    // Good for long: on a busy machine a second short one might be too old as well, and then nothing is tried for a minute.
    return good()
  }
}

/** Issued a while ago: the server's clock may be behind. */
export const tokenOf = (sub: string, claims: { readonly exp?: number } = {}): Promise<string> =>
  makeToken({ sub, iat: Math.floor(Date.now() / 1000) - 3_600, ...claims })

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
