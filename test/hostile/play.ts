import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { ERRORS, type ErrorCode, HEARTBEAT, LIMITS, makeCursor, PROTOCOL } from '@messkit/sdk/protocol'
import type { TestServer } from '../support/server.ts'
import { bearer, type Case, type FrameCase, goodToken, ID, type RequestCase, request, TARGET, upgrade } from './case.ts'
import { type Answer, tell } from './rules.ts'
import { Silence, Wire } from './wire.ts'

/** Its answer shows that everything sent before has been read. */
const FENCE = 777_777
const EXPIRING_MS = 300
/** A link is used for so many cases at most, so that their faults do not add up to its end. */
const CASES_PER_LINK = LIMITS.faultsPerLink / 4

interface Link {
  readonly wire: Wire
  cases: number
}

/** Plays cases to a server and says what was answered. */
export class Player {
  readonly #server: TestServer
  readonly #links = new Map<FrameCase['as'], Link>()
  /** Messages that cases stored in the topic under attack, as their acks said, and where the newest of them is. */
  stored = 0
  #newestStored = ''

  constructor(server: TestServer) {
    this.#server = server
  }

  async play(one: Case): Promise<string> {
    try {
      return one.where === 'http' ? await this.#playRequest(one) : await this.#playFrames(one)
    } catch (error) {
      return error instanceof Silence ? 'silence' : String(error)
    }
  }

  end(): void {
    for (const { wire } of this.#links.values()) wire.destroy()
  }

  // ---- HTTP

  async #playRequest({ send }: RequestCase): Promise<string> {
    const before = objectCount(this.#server)
    const wire = await Wire.connect(this.#server.port)
    try {
      wire.write(send)
      const answer = tell(await requestAnswer(wire))
      if (answer === 'opens' || objectCount(this.#server) === before) return answer
      return `${answer}, and an object was made`
    } finally {
      wire.destroy()
    }
  }

  // ---- frames

  async #playFrames(one: FrameCase): Promise<string> {
    const link = await this.#link(one)
    let answer: string | undefined
    try {
      for (const text of one.before ?? []) await this.#ask(link.wire, text)
      for (const bytes of one.send) {
        if (typeof bytes === 'string') link.wire.text(bytes)
        else link.wire.write(bytes)
      }
      answer = await this.#answer(link.wire, one)
      if (one.stored !== undefined && !(await this.#newest(link.wire)).includes(`\n${one.stored}\n`))
        answer += ', and the log has something else'
      return answer
    } finally {
      const over = answer === undefined || /^(closed|closeCode|ended)/.test(answer)
      if (one.fresh || one.as === 'stranger' || over) this.#drop(one.as, link)
    }
  }

  async #link({ as, fresh, before }: FrameCase): Promise<Link> {
    const known = this.#links.get(as)
    if (known && !fresh && !before && known.cases++ < CASES_PER_LINK) return known
    if (known) this.#drop(as, known)
    const link = { wire: await this.#open(as), cases: 0 }
    if (!fresh) this.#links.set(as, link)
    return link
  }

  #drop(as: FrameCase['as'], { wire }: Link): void {
    if (this.#links.get(as)?.wire === wire) this.#links.delete(as)
    wire.destroy()
  }

  async #open(as: FrameCase['as']): Promise<Wire> {
    const endsAt = Date.now() + EXPIRING_MS
    const claims = { other: { sub: 'bob' }, expiring: { exp: endsAt / 1000 }, stranger: {}, greeted: {} }[as]
    const wire = await openLink(this.#server, await goodToken(claims))
    if (as === 'stranger') return wire
    await this.#ask(wire, request('hello', { versions: [PROTOCOL.current] }))
    // The server goes by the same clock, so there is nothing to hope for here.
    if (as === 'expiring') await new Promise((resolve) => setTimeout(resolve, endsAt - Date.now() + 1))
    return wire
  }

  /** @returns the text of the answer, whatever else comes before it */
  async #ask(wire: Wire, text: string): Promise<string> {
    const { id } = JSON.parse(text.split('\n')[0]?.endsWith('[') ? `${text.split('\n')[0]}]}}` : text) as { id: number }
    wire.text(text)
    for (;;) {
      const frame = await wire.frame()
      if (!frame || frame.opcode === 8) throw new Error('the link was closed before the case began')
      const answer = read(frame.body.toString())
      if (answer?.id === id) {
        this.#count(answer)
        return frame.body.toString()
      }
    }
  }

  #newest(wire: Wire): Promise<string> {
    return this.#ask(wire, request('history', { topic: TARGET, limit: 1, from: this.#newestStored }, { id: FENCE + 1 }))
  }

  /** What came back for the last frame of a case. */
  async #answer(wire: Wire, { as, open, rule }: FrameCase): Promise<string> {
    if (open) return wire.peek() ? 'something' : tell({ ignored: true })
    // Whatever comes behind a Close only makes TCP throw the answer away.
    if (rule !== 'closing')
      wire.text(
        as === 'stranger'
          ? request('hello', { versions: [PROTOCOL.current] }, { id: FENCE })
          : request('unsubscribe', { topic: TARGET, subscription: 0xffff_ffff }, { id: FENCE }),
      )
    const silent = rule === 'creditIgnored' || rule === 'unfinished'
    let last: string | undefined
    let farewell: string | undefined
    for (let fenced = false; !(fenced && (silent || last !== undefined)); ) {
      const frame = await wire.frame()
      if (!frame) return tell({ ended: true })
      if (frame.opcode === 8) return closing(frame.body, farewell)
      const text = frame.body.toString()
      const answer = read(text)
      if (frame.opcode === 10 || text === HEARTBEAT.answer) last = tell({ taken: true })
      else if (!answer) return `a frame that is none: ${text.slice(0, 80)}`
      else if (answer.id === FENCE) fenced = true
      else if (answer.method === 'goodbye') farewell = answer.params?.code
      else if (answer.method === undefined) {
        last = tell(this.#count(answer))
        farewell = answer.error?.data?.code
        const wrong = malformed(answer)
        if (wrong) return wrong
      }
    }
    return last ?? tell({ ignored: true })
  }

  /** An answer, and what it says was stored. */
  #count({ error, result }: Answered): Answer {
    if (error) return { error: error.data?.code as ErrorCode }
    for (const { fate, count, offset } of result?.fates ?? []) {
      if (fate !== 'stored') continue
      this.stored += count
      this.#newestStored = makeCursor(result?.epoch ?? '', offset ?? 0)
    }
    const refused = result?.fates?.find(({ fate }) => fate === 'refused')
    return refused ? { refused: refused.code as ErrorCode } : { taken: true }
  }
}

/** A new link, which nothing was said on. */
export async function openLink({ port }: TestServer, token: string, topic = TARGET): Promise<Wire> {
  const wire = await Wire.connect(port)
  wire.write(upgrade({ path: `/v1/topics/${topic}`, protocols: [`${PROTOCOL.name}, ${bearer(token)}`] }))
  const reply = await wire.response()
  if (reply?.status !== 101) throw new Error(`no link, but status ${reply?.status}`)
  return wire
}

/** How many objects the server has ever made. */
export function objectCount({ dataDir }: TestServer): number {
  try {
    return readdirSync(join(dataDir, 'messkit-TopicObject')).filter((name) => name.endsWith('.sqlite')).length
  } catch {
    return 0
  }
}

async function requestAnswer(wire: Wire): Promise<Answer> {
  const reply = await wire.response()
  if (!reply) return { ended: true }
  const { status, headers, body } = reply
  if (status !== 101) {
    const error = read(body)?.error as { code?: ErrorCode } | undefined
    return error?.code === undefined ? { status } : { status, error: error.code }
  }
  if (headers.get('sec-websocket-protocol') !== PROTOCOL.name || headers.has('sec-websocket-extensions'))
    throw new Error(`an upgrade with the headers ${JSON.stringify([...headers])}`)
  wire.text(request('hello', { versions: [PROTOCOL.current] }))
  const frame = await wire.frame()
  if (!frame) return { ended: true }
  const first = read(frame.body.toString())
  if (first?.id === ID && first.result?.user === 'ana') return { opens: true }
  const code = first?.error?.data?.code as ErrorCode
  const end = await wire.frame()
  if (first?.id !== null || end?.opcode !== 8 || closing(end.body, code) !== `closed ${code}`)
    throw new Error(`turned away by ${JSON.stringify(first)} and ${end?.body.toString('hex')}`)
  return { turnedAway: code }
}

interface Answered {
  readonly id?: number | null
  readonly method?: string
  readonly params?: { readonly code?: string }
  readonly result?: {
    readonly user?: string
    readonly epoch?: string
    readonly fates?: readonly {
      readonly fate: string
      readonly count: number
      readonly offset?: number
      readonly code?: string
    }[]
  }
  readonly error?: {
    readonly code?: number
    readonly message?: string
    readonly data?: { readonly code?: string; readonly retryable?: boolean }
  }
}

function read(text: string): Answered | undefined {
  try {
    return JSON.parse(text) as Answered
  } catch {
    return undefined
  }
}

const CLOSE_CODES = ERRORS as Record<string, { readonly close?: number }>

/** A Close of ours carries the code that was told before it; any other one is the platform's. */
function closing(body: Buffer, told: string | undefined): string {
  const code = body.length >= 2 ? body.readUInt16BE(0) : 0
  if (code < 4000) return tell({ closeCode: code })
  const reason = body.subarray(2).toString()
  return reason === told && CLOSE_CODES[reason]?.close === code
    ? tell({ closed: reason as ErrorCode })
    : `closed by ${code} ${reason}, told ${told}`
}

const MESSAGE_CHARS = 200

/** Every error must be as the table says, under the number that was asked, and short. */
function malformed({ id, error }: Answered): string | undefined {
  if (!error) return undefined
  const { number, retryable } = ERRORS[error.data?.code as ErrorCode] ?? {}
  const good =
    error.code === number &&
    error.data?.retryable === retryable &&
    (id === null || Number.isSafeInteger(id)) &&
    (error.message ?? '').length <= MESSAGE_CHARS
  return good ? undefined : `an error that is none: ${JSON.stringify({ id, error }).slice(0, 200)}`
}
