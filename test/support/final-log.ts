import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Topic } from '@messkit/sdk'
import { type Frame, LIMITS, parseCursor } from '@messkit/sdk/protocol'
import { digestOf, type Note } from './actors.ts'
import type { FinalLog } from './checker/history.ts'
import type { RawLink } from './raw-link.ts'

/** What is stored of a topic, read in three ways that share little: a client's history, bare frames, and the file on the disk. */

type Stored = FinalLog['messages'][number]

/** The log as a client sees it that had nothing to do with it. */
export async function readLog(topic: Topic<Note>): Promise<FinalLog> {
  const messages: Stored[] = []
  let page = await topic.history({ limit: 1_000 })
  const epoch = parseCursor(page.messages[0]?.cursor)?.epoch ?? ''
  for (;;) {
    messages.push(...page.messages.map(({ offset, id, data }) => ({ offset, id, digest: digestOf(data) })))
    if (page.next === undefined) return logOf(epoch, messages)
    page = await topic.history({ limit: 1_000, from: page.next })
  }
}

/** The log as it is sent to a subscriber from the start on, by its frames alone. */
export async function readFrames(link: RawLink): Promise<FinalLog> {
  const window = LIMITS.creditBytes
  const { result } = await link.ask('subscribe', { subscription: READING, from: 'start', window })
  const { cursor, head } = result as { cursor: string; head: number }
  const { epoch, offset } = parseCursor(cursor) as { epoch: string; offset: number }
  const messages: Stored[] = []
  for (let next = offset; next < head; ) {
    const frame = await link.next((frame) => frame.method === 'deliver' && deliveryOf(frame).first === next)
    const delivered = deliveryOf(frame)
    const ids = idsOf(delivered.runs)
    delivered.messages.forEach((note, i) => {
      messages.push({ offset: next + i, id: ids[i] ?? '', digest: digestOf(note) })
    })
    next = delivered.next
    link.tell('credit', { subscription: READING, through: delivered.through + window })
  }
  return logOf(epoch, messages)
}

const READING = 77

interface Delivered {
  readonly subscription: number
  readonly first: number
  readonly next: number
  readonly through: number
  readonly runs: readonly Run[]
  readonly messages: readonly Note[]
}

function deliveryOf(frame: Frame): Delivered {
  const delivered = frame.params as Delivered
  return delivered.subscription === READING ? delivered : { ...delivered, first: -1 }
}

/** Every file of a topic's log in a data folder. */
export function logFiles(dataDir: string): string[] {
  const folder = join(dataDir, 'messkit-TopicObject')
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .filter((name) => name.endsWith('.sqlite') && name !== 'metadata.sqlite')
    .map((name) => join(folder, name))
}

/** The log as it lies on the disk, without any code of ours. Only while no server runs. What was trimmed may still be there. */
export function readFile(file: string): FinalLog {
  const database = new DatabaseSync(file)
  const { text } = database.prepare('select text from fact where bucket = -2').get() as { text: string }
  const rows = database.prepare('select first, next, runs, body from chunk order by first').all() as unknown as Row[]
  database.close()
  const messages = rows.flatMap(({ first, runs, body }) => {
    const notes = body.split(',\n').map((line) => JSON.parse(line) as Note)
    const ids = idsOf(JSON.parse(`[${runs}]`))
    if (ids.length !== notes.length)
      throw new Error(`the row at ${first} names ${ids.length} of ${notes.length} messages`)
    return notes.map((note, i) => ({ offset: first + i, id: ids[i] as string, digest: digestOf(note) }))
  })
  return logOf((JSON.parse(text) as { epoch: string }).epoch, messages)
}

interface Row {
  readonly first: number
  readonly next: number
  readonly runs: string
  readonly body: string
}

type Run = readonly [publisher: string, first: number, count: number]

function idsOf(runs: readonly Run[]): string[] {
  return runs.flatMap(([publisher, first, count]) =>
    Array.from({ length: count }, (_, i) => `${publisher}-${first + i}`),
  )
}

function logOf(epoch: string, messages: readonly Stored[]): FinalLog {
  const head = (messages.at(-1)?.offset ?? -1) + 1
  return { epoch, floor: messages[0]?.offset ?? head, head, messages }
}

/** What is left of a reading where no more is asked for. */
export function withFloor(floor: number, log: FinalLog): FinalLog {
  return { ...log, floor, messages: log.messages.filter(({ offset }) => offset >= floor) }
}
