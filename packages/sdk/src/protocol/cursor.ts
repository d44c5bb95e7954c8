/**
 * A position in a topic as opaque text: `<epoch>_<offset>`, both of fixed width, so that cursors of one topic sort as
 * text in log order. An epoch is the creation time in base 36 (9 characters) and 7 random ones; an offset is 16 digits.
 */
export type Cursor = string & { readonly __cursor: unique symbol }

const EPOCH = /^[0-9a-z]{16}$/
const CURSOR = /^([0-9a-z]{16})_([0-9]{16})$/

export function makeEpoch(nowMs: number, random: () => number): string {
  let text = Math.floor(nowMs).toString(36).padStart(9, '0').slice(-9)
  for (let i = 0; i < 7; i++) text += Math.floor(random() * 36).toString(36)
  return text
}

export function isEpoch(text: unknown): text is string {
  return typeof text === 'string' && EPOCH.test(text)
}

export function makeCursor(epoch: string, offset: number): Cursor {
  const digits = String(offset)
  return `${epoch}_${ZEROS.slice(digits.length)}${digits}` as Cursor
}

const ZEROS = '0'.repeat(16)

/** The parts of a cursor, or `undefined` for anything else, also for an offset that is no safe integer. */
export function parseCursor(text: unknown): { epoch: string; offset: number } | undefined {
  const match = typeof text === 'string' ? CURSOR.exec(text) : null
  if (!match) return undefined
  const offset = Number(match[2])
  return Number.isSafeInteger(offset) ? { epoch: match[1] as string, offset } : undefined
}
