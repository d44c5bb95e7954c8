import { existsSync, readdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { StoredJob } from './events.ts'
import type { Task } from './hand.ts'

/** What lies on the disk, read without any code of ours. Only while no server runs. */

const DEAD = 30
const BREAK = '\u0001'
const folderOf = (dataDir: string): string => join(dataDir, 'messkit-QueueObject')
/** Where workerd keeps which object wants to be woken when. */
const ALARMS = 'metadata.sqlite'

export function queueFiles(dataDir: string): string[] {
  const folder = folderOf(dataDir)
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .filter((name) => name.endsWith('.sqlite') && name !== ALARMS)
    .map((name) => join(folder, name))
}

export function readQueueFile(file: string): StoredJob[] {
  const database = new DatabaseSync(file)
  try {
    // The server died before the queue was opened for the first time.
    if (!database.prepare("select 1 from sqlite_master where name = 'segment'").get()) return []
    const single = database.prepare('select lane, id, body from job').all() as unknown as Row[]
    const segments = database
      .prepare('select lane, first, bodies, gone from segment left join segment_gone using (lane, first)')
      .all() as unknown as Segment[]
    return [...single, ...segments.flatMap(jobsOf)].map(({ lane, id, body }) => ({
      id,
      job: (JSON.parse(body) as Task).job,
      dead: lane === DEAD,
    }))
  } finally {
    database.close()
  }
}

interface Row {
  readonly lane: number
  readonly id: number
  readonly body: string
}

interface Segment {
  readonly lane: number
  readonly first: number
  readonly bodies: string
  readonly gone: string | null
}

function jobsOf({ lane, first, bodies, gone }: Segment): Row[] {
  return bodies.split(BREAK).flatMap((body, i) => (gone?.[i] === '1' ? [] : [{ lane, id: first + i, body }]))
}

/** When the server means to wake an object, in ms; `undefined` for never. */
export function alarmOf(file: string): number | undefined {
  return inAlarms(file, (database, id) => {
    const row = database.prepare('select scheduled_time / 1000000 as at from _cf_ALARM where actor_id = ?').get(id)
    return row?.at as number | undefined
  })
}

/**
 * The server forgets when to wake an object.
 * @param also the object itself forgets that it asked for it
 */
export function loseAlarm(file: string, also: boolean): true {
  inAlarms(file, (database, id) => database.prepare('delete from _cf_ALARM where actor_id = ?').run(id))
  if (!also) return true
  const own = new DatabaseSync(file)
  own.exec('delete from _cf_METADATA where key = 1')
  own.close()
  return true
}

function inAlarms<R>(file: string, work: (database: DatabaseSync, id: string) => R): R | undefined {
  const alarms = join(file, '..', ALARMS)
  if (!existsSync(alarms)) return undefined
  const database = new DatabaseSync(alarms)
  try {
    return work(database, basename(file, '.sqlite'))
  } finally {
    database.close()
  }
}
