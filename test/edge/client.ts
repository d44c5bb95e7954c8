import {
  encodeNotification,
  encodePublish,
  encodeRequest,
  type Frame,
  LIMITS,
  PROTOCOL,
  parseFrame,
} from '@messkit/sdk/protocol'
import { base64url, SignJWT } from 'jose'

/** A socket as workerd hands it out; this file is also read where its types are unknown. */
interface Socket {
  accept(): void
  send(data: string | ArrayBuffer): void
  close(code?: number, reason?: string): void
  addEventListener(type: 'message', listener: (event: { data: unknown }) => void): void
  addEventListener(type: 'close', listener: (event: { code: number; reason: string }) => void): void
}

export const SECRET = 'a secret of at least thirty-two bytes'

export function makeToken(claims: Record<string, unknown> = {}, secret = SECRET): Promise<string> {
  const now = Math.floor(Date.now() / 1000)
  return new SignJWT({ sub: 'ana', iat: now, exp: now + 600, ...claims })
    .setProtectedHeader({ alg: 'HS256' })
    .sign(new TextEncoder().encode(secret))
}

export function upgradeRequest(
  topic: string,
  token: string | undefined,
  headers: Record<string, string> = {},
  kind: 'topics' | 'queues' = 'topics',
): Request {
  const bearer = token === undefined ? '' : `, ${PROTOCOL.bearer}${base64url.encode(token)}`
  return new Request(`https://mess.test/v1/${kind}/${topic}`, {
    headers: { upgrade: 'websocket', 'sec-websocket-protocol': `${PROTOCOL.name}${bearer}`, ...headers },
  })
}

/** The raw end of one link: what a client of the protocol sends and gets, frame by frame. */
export class Client {
  readonly #socket: Socket
  readonly #topic: string
  readonly #waiting: { wanted: (frame: Frame) => boolean; found: (frame: Frame) => void }[] = []
  /** Everything that came, in order. */
  readonly frames: Frame[] = []
  readonly texts: string[] = []
  readonly closed: Promise<{ code: number; reason: string }>
  #lastId = 0
  #onDeliver: ((through: number) => void) | undefined

  constructor(response: Response, topic: string) {
    const { webSocket } = response as unknown as { webSocket: Socket | null }
    if (!webSocket) throw new Error(`no upgrade, but status ${response.status}`)
    this.#socket = webSocket
    this.#topic = topic
    webSocket.addEventListener('message', ({ data }) => this.#take(String(data)))
    this.closed = new Promise((resolve) => {
      webSocket.addEventListener('close', ({ code, reason }) => resolve({ code, reason }))
    })
    webSocket.accept()
  }

  send(data: string | ArrayBuffer): void {
    this.#socket.send(data)
  }

  close(code = 1000): void {
    this.#socket.close(code)
  }

  /** @returns the frame that answers, be it a result or an error */
  ask(method: string, params: object): Promise<Frame> {
    return this.request((id) => encodeRequest(id, method, params))
  }

  /** @param write the frame with this id */
  request(write: (id: number) => string): Promise<Frame> {
    const id = ++this.#lastId
    this.send(write(id))
    return this.next((frame) => frame.id === id && frame.method === undefined)
  }

  hello(): Promise<Frame> {
    return this.ask('hello', { versions: [PROTOCOL.current] })
  }

  subscribe(from: unknown, { subscription = 1, window = 1024 * 1024 } = {}): Promise<Frame> {
    return this.ask('subscribe', { topic: this.#topic, subscription, from, window })
  }

  credit(through: number, subscription = 1): void {
    this.send(encodeNotification('credit', { topic: this.#topic, subscription, through }))
  }

  /** From here on, as a client that is done with everything at once. */
  creditAlways(subscription = 1): void {
    const grant = (through: number) => this.credit(through + LIMITS.creditBytes, subscription)
    this.#onDeliver = grant
    const last = this.frames.findLast(({ method }) => method === 'deliver')
    if (last) grant(paramsOf(last).through)
  }

  /** Sequences `first` to `first + payloads.length - 1`, all as texts. */
  publish(first: number, payloads: readonly string[], publisher = 'publisher'): Promise<Frame> {
    const params = { topic: this.#topic, publisher, after: first - 1, first }
    return this.request((id) => encodePublish(id, params, payloads.join(',\n')))
  }

  /** The first frame, of those that came and those that will, that is wanted. */
  next(wanted: (frame: Frame) => boolean): Promise<Frame> {
    const here = this.frames.find(wanted)
    return here ? Promise.resolve(here) : new Promise((found) => this.#waiting.push({ wanted, found }))
  }

  /** What the deliveries of a subscription hold, in the order in which they came, once they reach an offset. */
  async delivered(to: number, subscription = 1): Promise<Delivered[]> {
    const ofIt = (frame: Frame) => frame.method === 'deliver' && paramsOf(frame).subscription === subscription
    await this.next((frame) => ofIt(frame) && paramsOf(frame).next >= to)
    return this.frames.filter(ofIt).map(paramsOf)
  }

  #take(text: string): void {
    this.texts.push(text)
    const frame = parseFrame(text)
    if (!frame) return
    this.frames.push(frame)
    if (frame.method === 'deliver') this.#onDeliver?.(paramsOf(frame).through)
    for (const waiter of this.#waiting.filter(({ wanted }) => wanted(frame))) {
      this.#waiting.splice(this.#waiting.indexOf(waiter), 1)
      waiter.found(frame)
    }
  }
}

export interface Delivered {
  readonly subscription: number
  readonly first: number
  readonly next: number
  readonly through: number
  readonly runs: readonly unknown[]
  readonly messages: readonly unknown[]
}

export const paramsOf = (frame: Frame) => frame.params as Delivered

/** Our own code of an error frame. */
export const codeOf = (frame: Frame): string | undefined => (frame.error?.data as { code?: string } | undefined)?.code
