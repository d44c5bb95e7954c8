import type { StandardSchema } from '@messkit/sdk'

/** What the demo's messages hold. */
export interface Note {
  readonly by: string
  readonly text: string
}

/** Written by hand to show how little a schema needs; valibot, zod or arktype fit as they are. */
export const noteSchema: StandardSchema<Note> = {
  '~standard': {
    version: 1,
    vendor: 'messkit-demo',
    validate: (value) => (isNote(value) ? { value } : { issues: [{ message: 'A note has texts “by” and “text”' }] }),
  },
}

function isNote(value: unknown): value is Note {
  if (typeof value !== 'object' || value === null) return false
  const { by, text } = value as Partial<Note>
  return typeof by === 'string' && typeof text === 'string'
}
