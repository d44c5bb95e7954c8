import { readFileSync } from 'node:fs'
import { deflateRawSync } from 'node:zlib'
import { HEARTBEAT, LIMITS, PROTOCOL } from '@messkit/sdk/protocol'
import { generator } from '../support/random.ts'
import type { TestServer } from '../support/server.ts'
import { bearer, goodToken, HANDSHAKE, ID, notification, publish, publisher, request, TARGET, upgrade } from './case.ts'
import { objectCount, openLink } from './play.ts'
import { frame, Silence, Wire } from './wire.ts'

/** Connections that are opened at once. */
const WIDTH = 50
/** History and garbage come over several links at once. */
const HISTORY_LINKS = 4
const SLOW_BYTES = 40
const REQUESTS_PER_CONNECTION = 100
const GARBAGE_BYTES = 64 * 1024
const LARGE_BYTES = 31 * 1024 * 1024

interface FloodKind {
  readonly name: string
  /** How many there are of what it sends, in a whole campaign. */
  readonly count: number
  /** @returns what was answered that should not have been */
  readonly run: (server: TestServer, count: number) => Promise<readonly string[]>
}

/**
 * Everything that is sent often, much or slowly. Each flood ends by itself, and none depends on how fast the machine is. The first one
 * fills the log for those that read it.
 */
export const FLOODS: readonly FloodKind[] = [
  { name: 'messages of the largest size', count: 24, run: largeMessages },
  { name: 'frames of one message', count: 5_000, run: smallFrames },
  { name: 'subscribe and unsubscribe, unread', count: 5_000, run: subscribeLoop },
  { name: 'history in parallel, unread', count: 400, run: historyFlood },
  { name: 'resume from the start', count: 300, run: resumeLoop },
  { name: 'open links', count: 1_000, run: manyLinks },
  { name: 'connect and cut', count: 2_000, run: connectLoop },
  { name: 'unknown topics with a bad token', count: 10_000, run: unknownTopics },
  { name: 'upgrades of one byte at a time', count: 200, run: slowUpgrades },
  { name: 'HTTP answers that nobody reads', count: 5_000, run: unreadHttp },
  { name: 'answers on a link that nobody reads', count: 60_000, run: unreadLink },
  { name: 'compressed frames that would be 31 MiB', count: 50, run: bombs },
  { name: 'garbage behind an upgrade', count: 200, run: garbage },
  { name: 'frames of 31 MiB at once', count: 4, run: largeFrames },
]

const HELLO = request('hello', { versions: [PROTOCOL.current] })

// ---- what is sent often

async function largeMessages(server: TestServer, count: number): Promise<readonly string[]> {
  const wire = await greeted(server)
  const line = `"${'x'.repeat(LIMITS.messageBytes - 2)}"`
  for (let i = 0; i < count; i++) {
    wire.text(publish(line))
    const answer = await answerTo(wire, ID)
    if (!answer.includes('"stored"')) return [answer]
  }
  wire.destroy()
  return []
}

async function smallFrames(server: TestServer, count: number): Promise<readonly string[]> {
  const wire = await greeted(server)
  const by = publisher()
  for (let i = 1; i <= count; i++)
    wire.text(publish('1', { publisher: by, after: i - 1, first: i }).replace(`"id":${ID}`, `"id":${i}`))
  let stored = 0
  for (let i = 1; i <= count; i++) if ((await answerTo(wire, i)).includes('"stored"')) stored++
  wire.destroy()
  return stored === count ? [] : [`${stored} of ${count} stored`]
}

/** From the start, with the largest window, and nothing of it is read. */
async function subscribeLoop(server: TestServer, count: number): Promise<readonly string[]> {
  const wire = await greeted(server)
  wire.pause()
  for (let i = 1; i <= count; i++) {
    const named = { topic: TARGET, subscription: i }
    wire.text(request('subscribe', { ...named, from: 'start', window: LIMITS.creditBytes }, { id: 2 * i }))
    wire.text(request('unsubscribe', named, { id: 2 * i + 1 }))
  }
  await untilDrained(wire)
  wire.resume()
  let [busy, bytes] = [0, 0]
  for (let last = ''; !last.includes(`"id":${2 * count + 1},`); ) {
    last = await nextText(wire)
    bytes += last.length
    if (last.includes('"busy"')) busy++
  }
  wire.destroy()
  // The time that all this takes pays for a little more, and refusals have their length.
  const most = 2 * LIMITS.abandonedBytes + count * 400
  return [
    ...(busy > 0 ? [] : ['nothing was refused']),
    ...(bytes < most ? [] : [`${bytes} bytes were sent to who did not read`]),
  ]
}

async function historyFlood(server: TestServer, count: number): Promise<readonly string[]> {
  const each = Math.ceil(count / HISTORY_LINKS)
  const wires = await inParallel(HISTORY_LINKS, () => greeted(server))
  for (const wire of wires) {
    wire.pause()
    for (let i = 1; i <= each; i++)
      wire.text(request('history', { topic: TARGET, limit: LIMITS.historyMessages }, { id: 100 + i }))
  }
  const problems: string[] = []
  for (const wire of wires) {
    await untilDrained(wire)
    wire.resume()
    let bytes = 0
    for (let last = ''; !last.includes(`"id":${100 + each},`); bytes += last.length) last = await nextText(wire)
    if (bytes > 2 * LIMITS.historyBytes) problems.push(`${bytes} bytes of history`)
    wire.destroy()
  }
  return problems
}

async function resumeLoop(server: TestServer, count: number): Promise<readonly string[]> {
  const token = await goodToken()
  await inParallel(count, async () => {
    const wire = await openLink(server, token)
    wire.text(HELLO)
    wire.text(request('subscribe', { topic: TARGET, subscription: 1, from: 'start', window: LIMITS.creditBytes }))
    for (let text = ''; !text.includes('"deliver"'); ) text = await nextText(wire)
    wire.destroy()
  })
  return []
}

// ---- connections

async function manyLinks(server: TestServer, count: number): Promise<readonly string[]> {
  const token = await goodToken()
  const wires = await inParallel(count, async () => {
    const wire = await openLink(server, token)
    wire.text(HELLO)
    await nextText(wire)
    return wire
  })
  for (const wire of wires) wire.destroy()
  return wires.length === count ? [] : [`${wires.length} links`]
}

async function connectLoop(server: TestServer, count: number): Promise<readonly string[]> {
  const token = await goodToken()
  await inParallel(count, async () => (await openLink(server, token)).destroy())
  return []
}

async function unknownTopics(server: TestServer, count: number): Promise<readonly string[]> {
  const before = objectCount(server)
  const token = bearer('a.b.c')
  const codes = await inParallel(count, async (i) => {
    const wire = await Wire.connect(server.port)
    wire.write(upgrade({ path: `/v1/topics/flood/${i}`, protocols: [`${PROTOCOL.name}, ${token}`] }))
    await wire.response()
    const text = await nextText(wire)
    wire.destroy()
    return text.includes('"token_invalid"')
  })
  const made = objectCount(server) - before
  return [...(codes.includes(false) ? ['one was let in'] : []), ...(made === 0 ? [] : [`${made} objects were made`])]
}

/** Headers that come one byte at a time and never end; between two bytes the others are served. */
async function slowUpgrades(server: TestServer, count: number): Promise<readonly string[]> {
  const head = upgrade({ protocols: ['messkit.1'] })
  const wires = await inParallel(count, () => Wire.connect(server.port))
  for (let i = 0; i < SLOW_BYTES; i++) {
    for (const wire of wires) wire.write(head.slice(i, i + 1))
    const other = await openLink(server, await goodToken())
    other.destroy()
  }
  const answered = wires.filter((wire) => wire.peek()).length
  for (const wire of wires) wire.destroy()
  return answered === 0 ? [] : [`${answered} half requests were answered`]
}

// ---- what nobody reads

async function unreadHttp(server: TestServer, count: number): Promise<readonly string[]> {
  const ask = upgrade({ path: '/health', handshake: [] })
  const wires = await inParallel(Math.ceil(count / REQUESTS_PER_CONNECTION), () => Wire.connect(server.port))
  for (const wire of wires) {
    wire.pause()
    wire.write(ask.repeat(REQUESTS_PER_CONNECTION))
  }
  await (await openLink(server, await goodToken())).destroy()
  for (const wire of wires) wire.destroy()
  return []
}

async function unreadLink(server: TestServer, count: number): Promise<readonly string[]> {
  const wire = await greeted(server)
  wire.pause()
  for (let i = 0; i < count; i += 3) {
    wire.text(HEARTBEAT.ask)
    wire.text(request('unsubscribe', { topic: TARGET, subscription: 1 }))
    wire.text(notification('credit', { topic: TARGET, subscription: 1, through: i }))
  }
  await untilDrained(wire)
  wire.destroy()
  return []
}

// ---- what is large, or nothing at all

/** The offer of compression was not taken, so a compressed frame is an error and not inflated. */
async function bombs(server: TestServer, count: number): Promise<readonly string[]> {
  const bomb = deflateRawSync(Buffer.alloc(31 * 1024 * 1024, 'x'))
  const token = await goodToken()
  const codes = await inParallel(count, async () => {
    const wire = await Wire.connect(server.port)
    const offer = 'Sec-WebSocket-Extensions: permessage-deflate'
    wire.write(
      upgrade({
        path: `/v1/topics/${TARGET}`,
        protocols: [`${PROTOCOL.name}, ${bearer(token)}`],
        handshake: [...HANDSHAKE, offer],
      }),
    )
    const reply = await wire.response()
    if (reply?.headers.has('sec-websocket-extensions')) return 'the offer was taken'
    wire.write(frame(1, bomb, { rsv: 0x40 }))
    const end = await wire.frame()
    wire.destroy()
    return end?.opcode === 8 ? String(end.body.readUInt16BE(0)) : 'no Close'
  })
  return codes.filter((code) => code !== '1002')
}

async function garbage(server: TestServer, count: number): Promise<readonly string[]> {
  const random = generator('garbage')
  const token = await goodToken()
  const loads = Array.from({ length: count }, () =>
    Buffer.from(Array.from({ length: GARBAGE_BYTES }, () => random.below(256))),
  )
  const problems = await inParallel(count, async (i) => {
    const wire = await openLink(server, token)
    wire.write(loads[i] as Buffer)
    const answer = await wire
      .frame()
      .catch((error: unknown) => (error instanceof Silence ? undefined : Promise.reject(error)))
    wire.destroy()
    // Some begin like a frame that goes on for longer than they do, and nothing can be said about it yet.
    return answer === undefined || answer.opcode === 8 || answer.opcode === 1 || answer.opcode === 10
      ? ''
      : `${random.seed}: ${answer.opcode}`
  })
  return problems.filter((problem) => problem !== '')
}

/** What the runtime lets through before our bound can say no. */
async function largeFrames(server: TestServer, count: number): Promise<readonly string[]> {
  const large = frame(1, Buffer.alloc(LARGE_BYTES, ' '))
  const texts = await inParallel(count, async () => {
    const wire = await greeted(server)
    wire.write(large)
    const text = await nextText(wire)
    wire.destroy()
    return text
  })
  return texts.filter((text) => !text.includes('"frame_too_large"'))
}

// ---- helpers

async function greeted(server: TestServer): Promise<Wire> {
  const wire = await openLink(server, await goodToken())
  wire.text(HELLO)
  await nextText(wire)
  return wire
}

async function nextText(wire: Wire): Promise<string> {
  const next = await wire.frame()
  if (next?.opcode !== 1) throw new Error(`the link ended: ${next?.body.toString()}`)
  return next.body.toString()
}

async function answerTo(wire: Wire, id: number): Promise<string> {
  for (;;) {
    const text = await nextText(wire)
    if (text.startsWith(`{"jsonrpc":"2.0","id":${id},`)) return text
  }
}

/** Until the kernel and the server have taken what was written. */
async function untilDrained(wire: Wire): Promise<void> {
  while (!wire.drained) await new Promise((resolve) => setImmediate(resolve))
}

async function inParallel<T>(count: number, work: (i: number) => Promise<T>): Promise<T[]> {
  const results: T[] = []
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < count) {
      const i = next++
      results[i] = await work(i)
    }
  }
  await Promise.all(Array.from({ length: Math.min(WIDTH, count) }, worker))
  return results
}

/** Resident memory in MiB, now and at its highest; 0 where the system does not tell. */
export function memoryOf(pid: number): { readonly nowMiB: number; readonly peakMiB: number } {
  if (process.platform !== 'linux') return { nowMiB: 0, peakMiB: 0 }
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const mebibytes = (name: string) =>
    Math.round(Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) / 1024)
  return { nowMiB: mebibytes('VmRSS'), peakMiB: mebibytes('VmHWM') }
}
