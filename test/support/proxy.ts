import { type AddressInfo, createServer, connect as dial, type Socket } from 'node:net'

/** What happens to bytes on their way in one direction. May be changed at any time, also for connections that are open. */
export interface Way {
  /** What went through so far, over all connections. */
  readonly bytes: number
  /** Wait this long before each piece is passed on. */
  delayMs: number
  /** Bytes are taken and go nowhere. */
  blackHole: boolean
  /** End the first connection of which so many bytes have arrived, exactly there; once. */
  cutAfter: number
}

/** A TCP proxy on the loopback that breaks connections. It holds at most one piece (64 KiB) per connection and direction. */
export interface TestProxy {
  readonly url: string
  readonly up: Way
  readonly down: Way
  /** Connections so far. */
  readonly count: number
  readonly open: number
  /** Whoever connects is reset at once. */
  refusing: boolean
  /** End all connections, by a reset or as if each side had hung up. */
  cut(how: 'reset' | 'end'): void
  end(): Promise<void>
}

export async function runProxy(targetPort: number): Promise<TestProxy> {
  const up = { bytes: 0, delayMs: 0, blackHole: false, cutAfter: Number.POSITIVE_INFINITY }
  const down = { ...up }
  const pairs = new Set<readonly [Socket, Socket]>()
  let count = 0

  const server = createServer({ noDelay: true }, (client) => {
    count++
    if (proxy.refusing) {
      client.resetAndDestroy()
      return
    }
    const target = dial({ port: targetPort, host: '127.0.0.1', noDelay: true })
    const pair = [client, target] as const
    pairs.add(pair)
    pass(client, target, up)
    pass(target, client, down)
    for (const socket of pair) {
      socket.on('error', () => {}) // it closes, and that ends both
      socket.on('close', () => {
        pairs.delete(pair)
        for (const other of pair) other.destroySoon()
      })
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))

  const cut = (how: 'reset' | 'end'): void => {
    for (const pair of [...pairs]) {
      pairs.delete(pair)
      for (const socket of pair) how === 'reset' ? socket.resetAndDestroy() : socket.end()
    }
  }
  const proxy: TestProxy = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    up,
    down,
    get count() {
      return count
    },
    get open() {
      return pairs.size
    },
    refusing: false,
    cut,
    async end() {
      const closed = new Promise((resolve) => server.close(resolve))
      cut('reset')
      await closed
    },
  }
  return proxy
}

/** Passes on what one socket says to another, piece by piece: while a piece is on its way the socket is not read. */
function pass(from: Socket, to: Socket, way: { -readonly [K in keyof Way]: Way[K] }): void {
  let passed = 0
  const forward = (bytes: Buffer): void => {
    if (to.destroyed) return
    const room = way.cutAfter - passed
    const piece = bytes.length < room ? bytes : bytes.subarray(0, Math.max(0, room))
    passed += piece.length
    way.bytes += piece.length
    if (room <= bytes.length) {
      way.cutAfter = Number.POSITIVE_INFINITY
      // The one gets all of it and then an end, the other a reset.
      to.end(piece)
      from.resetAndDestroy()
    } else to.write(piece, () => from.resume())
  }
  from.on('data', (bytes) => {
    if (way.blackHole) return
    from.pause()
    if (way.delayMs > 0) setTimeout(forward, way.delayMs, bytes)
    else forward(bytes)
  })
  from.on('end', () => to.end())
}
