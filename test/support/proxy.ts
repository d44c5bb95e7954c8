import { type AddressInfo, createServer, connect as dial, type Socket } from 'node:net'

/** What happens to bytes on their way in one direction. May be changed at any time, also for connections that are open. */
export interface Way {
  /** What went through so far, over all connections. */
  readonly bytes: number
  /** Wait this long before each piece is passed on, and up to so much longer. */
  delayMs: number
  jitterMs: number
  /** Nothing is passed on while this holds; what waits arrives late, as after a network that was away. */
  held: boolean
  /** Bytes are taken and go nowhere. A connection that lost some is no good any more: cut it when this ends. */
  blackHole: boolean
  /** Pass on at most so many bytes at once, and so many a second. */
  sliceBytes: number
  bytesPerSecond: number
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
  /** Break nothing any more; connections that were broken stay so. */
  heal(): void
  end(): Promise<void>
}

const HEALTHY: Omit<Way, 'bytes'> = {
  delayMs: 0,
  jitterMs: 0,
  held: false,
  blackHole: false,
  sliceBytes: Number.POSITIVE_INFINITY,
  bytesPerSecond: Number.POSITIVE_INFINITY,
  cutAfter: Number.POSITIVE_INFINITY,
}
/** How often a piece that waits looks whether it still has to. */
const LOOK_MS = 5
/** A throttled way passes on so many pieces a second, each as small as that makes it. */
const PIECES_PER_SECOND = 200

/** @param random at least 0 and below 1; for the jitter */
export async function runProxy(targetPort: number, random: () => number = Math.random): Promise<TestProxy> {
  const up = { bytes: 0, ...HEALTHY }
  const down = { ...up }
  const pairs = new Set<readonly [Socket, Socket]>()
  /** Hung up, and perhaps not yet by the other side. */
  const ending = new Set<readonly [Socket, Socket]>()
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
    pass(client, target, up, random)
    pass(target, client, down, random)
    for (const socket of pair) {
      socket.on('error', () => {}) // it closes, and that ends both
      socket.on('close', () => {
        pairs.delete(pair)
        ending.delete(pair)
        for (const other of pair) other.destroySoon()
      })
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))

  const cut = (how: 'reset' | 'end'): void => {
    const all = how === 'reset' ? [...pairs, ...ending] : [...pairs]
    for (const pair of all) {
      pairs.delete(pair)
      ending.add(pair)
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
    heal() {
      proxy.refusing = false
      for (const way of [up, down]) Object.assign(way, HEALTHY)
    },
    async end() {
      const closed = new Promise((resolve) => server.close(resolve))
      cut('reset')
      await closed
    },
  }
  return proxy
}

/** Passes on what one socket says to another, piece by piece: while a piece is on its way the socket is not read. */
function pass(from: Socket, to: Socket, way: { -readonly [K in keyof Way]: Way[K] }, random: () => number): void {
  let passed = 0

  /** @returns whether it may go on */
  const forward = (bytes: Buffer): boolean => {
    const room = way.cutAfter - passed
    const piece = bytes.length < room ? bytes : bytes.subarray(0, Math.max(0, room))
    passed += piece.length
    way.bytes += piece.length
    if (room > bytes.length) return true
    way.cutAfter = Number.POSITIVE_INFINITY
    // The one gets all of it and then an end, the other a reset.
    to.end(piece)
    from.resetAndDestroy()
    return false
  }

  const carry = async (bytes: Buffer): Promise<void> => {
    const waitMs = way.delayMs + way.jitterMs * random()
    if (waitMs > 0) await pause(waitMs)
    for (let sent = 0; sent < bytes.length; ) {
      while (way.held && !to.destroyed) await pause(LOOK_MS)
      if (way.blackHole || to.destroyed) return
      const { bytesPerSecond } = way
      const throttled = bytesPerSecond < Number.POSITIVE_INFINITY
      const quantum = throttled ? Math.max(1, Math.ceil(bytesPerSecond / PIECES_PER_SECOND)) : bytes.length
      const slice = bytes.subarray(sent, sent + Math.min(way.sliceBytes, quantum))
      sent += slice.length
      if (!forward(slice)) return
      await new Promise((resolve) => to.write(slice, resolve))
      // Very many small pieces must not keep the rest of the process waiting.
      if (slice.length < bytes.length) await new Promise(setImmediate)
      if (throttled) await pause((slice.length / bytesPerSecond) * 1000)
    }
  }

  from.on('data', (bytes) => {
    if (way.blackHole || to.destroyed) return
    from.pause()
    carry(bytes).then(() => from.resume())
  })
  from.on('end', () => to.end())
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
