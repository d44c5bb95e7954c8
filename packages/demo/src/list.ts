import type { MessError, Shown } from '@messkit/sdk'
import type { Change } from './change.ts'

/** A topic's messages, as `topic.view()` shows them: what is stored, and behind it what is on its way. */
export type Changes = readonly Shown<Change, Change>[]

export interface Item {
  readonly id: string
  readonly text: string
  readonly done: boolean
  readonly by: string
  /** Who ticked it. */
  readonly doneBy: string | undefined
  /** Something about it is not stored at the server yet. */
  readonly waiting: boolean
}

/** A change that is in the outbox. */
export interface Unsent {
  readonly id: string
  readonly change: Change
  /** Why it was refused, if it was. */
  readonly error: MessError | undefined
}

export interface List {
  readonly items: readonly Item[]
  readonly waiting: readonly Unsent[]
  readonly refused: readonly Unsent[]
  /** Also of items that were removed. */
  readonly nameOf: (item: string) => string | undefined
}

interface Draft {
  text: string | undefined
  done: boolean
  by: string | undefined
  doneBy: string | undefined
  removed: boolean
  waiting: boolean
}

/**
 * A list out of its changes. All tabs and all people read the same changes in the same order, so all see the same list: the last one
 * to tick or rename wins, and what was removed stays removed. Own changes that are on their way count already, as the newest. Refused
 * ones do not: they are shown apart, until somebody decides.
 */
export function listOf(changes: Changes): List {
  const drafts = new Map<string, Draft>()
  const added: string[] = []
  const waiting: Unsent[] = []
  const refused: Unsent[] = []
  for (const entry of changes) {
    const { id, data: change, pending } = entry
    if (pending && entry.error) {
      refused.push({ id, change, error: entry.error })
      continue
    }
    // A change may come before its item: that one was refused, and sent again later.
    const draft = drafts.get(change.item) ?? newDraft()
    drafts.set(change.item, draft)
    if (change.do === 'add' && draft.by === undefined) added.push(change.item)
    apply(draft, change)
    if (!pending) continue
    draft.waiting = true
    waiting.push({ id, change, error: undefined })
  }
  const items = added.flatMap((id): Item[] => {
    const { text = '', done, by = '', doneBy, removed, waiting } = drafts.get(id) as Draft
    return removed ? [] : [{ id, text, done, by, doneBy, waiting }]
  })
  const refusedNames = new Map(
    refused.flatMap(({ change }) => (change.do === 'add' ? [[change.item, change.text]] : [])),
  )
  return { items, waiting, refused, nameOf: (item) => drafts.get(item)?.text ?? refusedNames.get(item) }
}

function apply(draft: Draft, change: Change): void {
  switch (change.do) {
    case 'add':
      draft.by ??= change.by
      draft.text ??= change.text
      break
    case 'tick':
      draft.done = change.done
      draft.doneBy = change.done ? change.by : undefined
      break
    case 'rename':
      draft.text = change.text
      break
    case 'remove':
      draft.removed = true
  }
}

const newDraft = (): Draft => ({
  text: undefined,
  done: false,
  by: undefined,
  doneBy: undefined,
  removed: false,
  waiting: false,
})
