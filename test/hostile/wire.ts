import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'

/**
 * One TCP connection, spoken byte by byte: for what no HTTP or WebSocket library would send. It reads HTTP answers and WebSocket frames
 * just well enough to say what was answered.
 */
export class Wire {
  readonly #socket: Socket
  #bytes: Buffer = Buffer.alloc(0)
  #ended = false
  #wake: (() => void) | undefined
  readonly #timeoutMs: number

  private constructor(socket: Socket, timeoutMs: number) {
    this.#socket = socket
    this.#timeoutMs = timeoutMs
    socket.on('data', (bytes: Buffer) => {
      this.#bytes = this.#bytes.length === 0 ? bytes : Buffer.concat([this.#bytes, bytes])
      this.#wake?.()
    })
    socket.on('error', () => {}) // the close event follows
    socket.on('close', () => this.#end())
    socket.on('end', () => this.#end())
  }

  static async connect(port: number, timeoutMs = 15_000): Promise<Wire> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    return new Wire(socket, timeoutMs)
  }

  write(bytes: string | Uint8Array): void {
    if (!this.#socket.writableEnded) this.#socket.write(bytes)
  }

  /** Whether what was written has left this process. */
  get drained(): boolean {
    return this.#socket.writableLength === 0
  }

  /** Stop reading: what is not read stays with the server and the kernel. */
  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  // ---- HTTP

  /** The answer to one request, or `undefined` if the connection ended without one. */
  async response(): Promise<Reply | undefined> {
    const end = await this.#until(() => {
      const at = this.#bytes.indexOf('\r\n\r\n')
      return at === -1 ? undefined : at
    })
    if (end === undefined) return undefined
    const [first = '', ...lines] = this.#take(end + 4)
      .toString('latin1')
      .trimEnd()
      .split('\r\n')
    const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(first)?.[1])
    if (!status) throw new Error('what came is no HTTP')
    const headers = new Map(
      lines.map((line) => {
        const at = line.indexOf(':')
        return [line.slice(0, at).toLowerCase(), line.slice(at + 1).trim()]
      }),
    )
    return { status, headers, body: status === 101 ? '' : await this.#body(headers) }
  }

  async #body(headers: Map<string, string>): Promise<string> {
    if (headers.get('transfer-encoding') === 'chunked') {
      await this.#until(() => (this.#bytes.includes('\r\n0\r\n') ? true : undefined))
      return this.#take(this.#bytes.length).toString()
    }
    const length = Number(headers.get('content-length') ?? 0)
    await this.#until(() => (this.#bytes.length >= length ? true : undefined))
    return this.#take(length).toString()
  }

  // ---- WebSocket

  text(text: string): void {
    this.write(frame(1, text))
  }

  /** The next whole frame, or `undefined` once there is none any more. */
  frame(): Promise<WireFrame | undefined> {
    return this.#until(() => this.#frame())
  }

  #frame(): WireFrame | undefined {
    const bytes = this.#bytes
    if (bytes.length < 2) return undefined
    const [first = 0, second = 0] = bytes
    let [head, length] = [2, second & 0x7f]
    if (length === 126) {
      if (bytes.length < 4) return undefined
      ;[head, length] = [4, bytes.readUInt16BE(2)]
    } else if (length === 127) {
      if (bytes.length < 10) return undefined
      ;[head, length] = [10, Number(bytes.readBigUInt64BE(2))]
    }
    if (bytes.length < head + length) return undefined
    const body = this.#take(head + length).subarray(head)
    return { opcode: first & 0x0f, rsv: first & 0x70, body }
  }

  // ---- bytes

  /** Whether something came that was not read. */
  peek(): boolean {
    return this.#bytes.length > 0 || this.#ended
  }

  #take(count: number): Buffer {
    const taken = this.#bytes.subarray(0, count)
    this.#bytes = this.#bytes.subarray(count)
    return taken
  }

  #end(): void {
    this.#ended = true
    this.#wake?.()
  }

  /** @returns what was found, or `undefined` once the peer has ended and nothing was */
  async #until<T>(find: () => T | undefined): Promise<T | undefined> {
    for (;;) {
      const found = find()
      if (found !== undefined || this.#ended) return found
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => reject(new Silence(this.#timeoutMs)), this.#timeoutMs)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
      this.#wake = undefined
    }
  }
}

/** Nothing came for so long that nothing will. */
export class Silence extends Error {
  constructor(ms: number) {
    super(`nothing came for ${ms} ms`)
  }
}

export interface Reply {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
}

export interface WireFrame {
  readonly opcode: number
  readonly rsv: number
  readonly body: Buffer
}

export interface FrameOptions {
  readonly fin?: boolean
  readonly rsv?: number
  readonly masked?: boolean
  /** Says another length than its body has. */
  readonly length?: bigint
}

/** A client's WebSocket frame; with options also one that no client may send. */
export function frame(
  opcode: number,
  body: string | Uint8Array = '',
  { fin = true, rsv = 0, masked = true, length }: FrameOptions = {},
): Buffer {
  const bytes = Buffer.from(body as string)
  const said = length ?? BigInt(bytes.length)
  const head = Buffer.alloc(said < 126 ? 2 : said < 65_536 ? 4 : 10)
  head[0] = (fin ? 0x80 : 0) | rsv | opcode
  head[1] = (masked ? 0x80 : 0) | (said < 126 ? Number(said) : said < 65_536 ? 126 : 127)
  if (head.length === 4) head.writeUInt16BE(Number(said), 2)
  if (head.length === 10) head.writeBigUInt64BE(said, 2)
  if (!masked) return Buffer.concat([head, bytes])
  const mask = randomBytes(4)
  for (let i = 0; i < bytes.length; i++) bytes[i] = (bytes[i] as number) ^ (mask[i & 3] as number)
  return Buffer.concat([head, mask, bytes])
}

/** A Close frame as a client sends it. */
export function closeFrame(code?: number, reason: string | Uint8Array = ''): Buffer {
  if (code === undefined) return frame(8)
  const body = Buffer.alloc(2)
  body.writeUInt16BE(code)
  return frame(8, Buffer.concat([body, Buffer.from(reason as string)]))
}
