import type { Mess, Topic } from '@messkit/sdk'
import { type Change, changeSchema } from './change.ts'
import type { Changes } from './list.ts'
import { topicOf } from './lists.ts'
import { newestOffset } from './news.ts'

/** A list is made of its changes, so as many are kept here as a list may have. Without a network it opens from them. */
const CHANGES = 10_000
/** Reading the disk takes less. */
const PATIENCE_MS = 600

interface OpenListOptions {
  readonly mess: Mess
  readonly name: string
  readonly onChanges: (changes: Changes) => void
}

/** One list: its topic, and the view of it. */
export class OpenList {
  readonly name: string
  /** As the view showed them last. */
  changes: Changes = []
  /** There is something to show, be it that the list is empty. */
  isThere = false
  /** It has been waited for long enough to say that nothing of it is here. */
  isKnown = false
  readonly topic: Topic<Change>
  readonly #close: () => void

  /** @throws {MessError} `bad_name` */
  constructor({ mess, name, onChanges }: OpenListOptions) {
    this.name = name
    this.topic = mess.topic<Change>(topicOf(name), { schema: changeSchema, replica: { maxMessages: CHANGES } })
    const view = this.topic.view((changes) => {
      this.changes = changes
      this.isThere = this.isKnown = true
      onChanges(changes)
    })
    const timer = setTimeout(() => {
      this.isKnown = true
      onChanges(this.changes)
    }, PATIENCE_MS)
    this.#close = () => {
      clearTimeout(timer)
      view.stop()
    }
  }

  /** How many changes the list has had, as far as this page has heard. */
  get stored(): number | undefined {
    return this.isThere ? newestOffset(this.changes) + 1 : undefined
  }

  /** What waits in it is sent all the same. */
  close(): void {
    this.#close()
  }
}

/** A name for a new item; good also where `crypto.randomUUID` is not, on a page without HTTPS. */
export function newItemId(): string {
  return [...crypto.getRandomValues(new Uint8Array(9))].map((byte) => byte.toString(36).padStart(2, '0')).join('')
}
