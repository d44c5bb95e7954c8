import {
  encodeNotification,
  encodePublish,
  encodeRequest,
  type Frame,
  PROTOCOL,
  parseFrame,
} from '@messkit/sdk/protocol'
import WebSocket from 'ws'

/** One link spoken by hand, frame by frame, for what no client of ours would say or do. */
export class RawLink {
  readonly #socket: WebSocket
  /** The topic or queue that every request names. */
  readonly #of: object
  readonly #waiting: { readonly wanted: (frame: Frame) => boolean; readonly found: (frame: Frame) => void }[] = []
  readonly frames: Frame[] = []
  /** Of each frame, in the order of `frames`. */
  readonly sizes: number[] = []
  /** Resolves with the code of the end. */
  readonly closed: Promise<number>
  #lastId = 0

  private constructor(socket: WebSocket, of: object) {
    this.#socket = socket
    this.#of = of
    socket.on('message', (text) => this.#take(String(text)))
    this.closed = new Promise((resolve) => socket.on('close', resolve))
  }

  /** @param hello what it says of itself; the answer is the first of `frames` */
  static open(
    url: string,
    topic: string,
    token: string,
    hello: object = { versions: [PROTOCOL.current] },
  ): Promise<RawLink> {
    return RawLink.#open(`${url}/v1/topics/${topic}`, { topic }, { token, hello })
  }

  static openQueue(url: string, queue: string, token: string): Promise<RawLink> {
    return RawLink.#open(`${url}/v1/queues/${queue}`, { queue }, { token, hello: { versions: [PROTOCOL.current] } })
  }

  static async #open(url: string, of: object, { token, hello }: { token: string; hello: object }): Promise<RawLink> {
    const bearer = PROTOCOL.bearer + Buffer.from(token).toString('base64url')
    const link = new RawLink(new WebSocket(url.replace('http', 'ws'), [PROTOCOL.name, bearer]), of)
    const socket = link.#socket
    await new Promise((resolve, reject) => socket.on('open', resolve).on('error', reject))
    await link.ask('hello', hello)
    return link
  }

  send(text: string): void {
    this.#socket.send(text)
  }

  /** @returns the frame that answers, be it a result or an error */
  ask(method: string, params: object): Promise<Frame> {
    const id = ++this.#lastId
    this.send(encodeRequest(id, method, { ...this.#of, ...params }))
    return this.next((frame) => frame.id === id)
  }

  tell(method: string, params: object): void {
    this.send(encodeNotification(method, { ...this.#of, ...params }))
  }

  publish(
    publisher: string,
    { after, first }: { after: number; first: number },
    payloads: readonly string[],
  ): Promise<Frame> {
    const id = ++this.#lastId
    this.send(encodePublish(id, { ...(this.#of as { topic: string }), publisher, after, first }, payloads.join(',\n')))
    return this.next((frame) => frame.id === id)
  }

  /** The first frame, of those that came and those that will, that is wanted. */
  next(wanted: (frame: Frame) => boolean): Promise<Frame> {
    const here = this.frames.find(wanted)
    return here ? Promise.resolve(here) : new Promise((found) => this.#waiting.push({ wanted, found }))
  }

  /** Stop reading from the network; what is not read stays with the server and the kernel. */
  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  close(): void {
    this.#socket.close()
  }

  #take(text: string): void {
    const frame = parseFrame(text)
    if (!frame) return
    this.frames.push(frame)
    this.sizes.push(Buffer.byteLength(text))
    for (const waiter of this.#waiting.filter(({ wanted }) => wanted(frame))) {
      this.#waiting.splice(this.#waiting.indexOf(waiter), 1)
      waiter.found(frame)
    }
  }
}
