/**
 * A position in a topic as opaque text: `<epoch>_<offset>`, both of fixed width, so that cursors of one topic sort as
 * text in log order. An epoch has 16 characters (`epoch.ts`), an offset 16 digits.
 */
export type Cursor = string & { readonly __cursor: unique symbol }

const CURSOR = /^([0-9a-z]{16})_([0-9]{16})$/

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
