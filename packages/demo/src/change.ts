import type { StandardSchema } from '@messkit/sdk'

/** What a list's topic holds: not the list, but what people did to it, one message each. */
export type Change =
  | { readonly do: 'add'; readonly item: string; readonly text: string; readonly by: string }
  | { readonly do: 'tick'; readonly item: string; readonly done: boolean; readonly by: string }
  | { readonly do: 'rename'; readonly item: string; readonly text: string; readonly by: string }
  | { readonly do: 'remove'; readonly item: string; readonly by: string }

/** Written by hand to show how little a schema needs; valibot, zod or arktype fit as they are. */
export const changeSchema: StandardSchema<Change> = {
  '~standard': {
    version: 1,
    vendor: 'messkit-demo',
    validate: (value) => (isChange(value) ? { value } : { issues: [{ message: 'It is no change of a list' }] }),
  },
}

function isChange(value: unknown): value is Change {
  if (typeof value !== 'object' || value === null) return false
  const { do: what, item, by, text, done } = value as Record<string, unknown>
  if (typeof item !== 'string' || typeof by !== 'string') return false
  if (what === 'add' || what === 'rename') return typeof text === 'string'
  return what === 'tick' ? typeof done === 'boolean' : what === 'remove'
}

/** Such as: added “Bread”. */
export function describe(change: Change, nameOf: (item: string) => string | undefined): string {
  const known = nameOf(change.item)
  const name = known === undefined ? 'an item that is gone' : `“${shorten(known)}”`
  switch (change.do) {
    case 'add':
      return `added “${shorten(change.text)}”`
    case 'tick':
      return `${change.done ? 'ticked' : 'unticked'} ${name}`
    case 'rename':
      return `renamed an item to “${shorten(change.text)}”`
    case 'remove':
      return `removed ${name}`
  }
}

const SHOWN_CHARS = 300

/** The page's own field takes less; another program may have written more. */
export function shorten(text: string): string {
  return text.length <= SHOWN_CHARS ? text : `${text.slice(0, SHOWN_CHARS).toWellFormed()} …`
}
