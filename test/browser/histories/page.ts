import {
  type Cursor,
  createMess,
  type Mess,
  type Message,
  type MessError,
  RefusedError,
  type Subscription,
  type Topic,
} from '../../../packages/sdk/src/index.ts'
import { parseCursor } from '../../../packages/sdk/src/protocol/cursor.ts'
import type { FinalLog } from '../../support/checker/history.ts'
import { factories } from '../factories.ts'
import { type Batch, digestOf, type LifeOptions, type Note, type Order, type Told } from './told.ts'

/** Runs in pages: one client, driven from outside, which tells all that it does and hears. */

declare global {
  /** Put there by whoever drives the browser. What is told may be lost with the page, and only then. */
  var tell: (text: string) => void
  var life: Life | undefined
  var begin: (options: LifeOptions) => void
}

const HISTORY = 200
const LONG_MS = 200
/** Refused before it was stored anywhere. */
const NO_ROOM = ['store_full', 'outbox_full']

class Life {
  readonly name: string
  readonly #options: LifeOptions
  readonly #mess: Mess
  readonly #topic: Topic<Note>
  readonly #told: Told[] = []
  #sent = 0
  #telling = false
  #role = ''
  #handledAt = 0
  #confirmed: (() => void) | undefined
  #hurried = false
  #hurry: (() => void) | undefined

  constructor(options: LifeOptions) {
    const { name, topic, url, resume } = options
    this.name = name
    this.#options = options
    this.#mess = createMess(
      url === undefined
        ? {}
        : { url, user: 'ana', token: ({ why }) => this.#token(why), reconnect: { minMs: 20, maxMs: 200 } },
    )
    this.#mess.on('error', ({ code, cause }) => this.#tell({ e: 'trouble', code, cause: String(cause) }))
    this.#mess.on('status', ({ role }) => {
      if (role !== this.#role) this.#tell({ e: 'role', role })
      this.#role = role
    })
    this.#topic = this.#mess.topic(topic)
    this.#subscribe(name, undefined, false)
    if (resume) this.#subscribe(resume.sub, resume.sub, resume.again)
  }

  // ---- what it is told to do

  publish(orders: readonly Order[]): void {
    for (const order of orders) {
      const { id } = order
      try {
        const receipt = this.#topic.publish(order.sly ? sly(order) : noteOf(order))
        this.#tell({ e: 'named', id, as: receipt.id })
        receipt.stored.then(
          ({ durability }) => this.#tell({ e: durability === 'disk' ? 'stored' : 'memory', id }),
          () => {}, // the receipt says why
        )
        receipt.then(
          ({ offset, cursor, duplicate }) => this.#tell({ e: 'acked', id, epoch: epochOf(cursor), offset, duplicate }),
          (error: MessError) => this.#failed(id, error),
        )
      } catch (error) {
        this.#failed(id, error as MessError)
      }
    }
  }

  /**
   * A position may be saved only once it is known outside that the message was handled: so its handler waits for this.
   * @param told so much has arrived there
   */
  confirm(told: number): void {
    if (told >= this.#handledAt) this.#confirmed?.()
  }

  /** From now on handlers take no longer than they must. */
  hurry(): void {
    this.#hurried = true
    this.#hurry?.()
  }

  since(at: number): Batch {
    return { life: this.name, at, told: this.#told.slice(at) }
  }

  async state() {
    const { connection } = this.#mess.status
    const entries = await this.#mess.outbox.list()
    const waiting = entries.filter(({ state }) => state === 'waiting').length
    return { connection, waiting, refused: entries.flatMap(({ id, state }) => (state === 'refused' ? id : [])) }
  }

  /** For whoever wants to know why nothing moves. Locks are those of all tabs. */
  async look() {
    const { held = [], pending = [] } = await navigator.locks.query()
    const names = (locks: LockInfo[]) => locks.map(({ name }) => name)
    return { life: this.name, status: this.#mess.status, held: names(held), pending: names(pending) }
  }

  /** Forwards or backwards: two ways of reading that have to agree. */
  async log(reverse: boolean): Promise<FinalLog> {
    const messages: Message<Note>[] = []
    let from: Cursor | undefined
    do {
      const page = await this.#topic.history({ limit: HISTORY, reverse, ...(from !== undefined && { from }) })
      messages.push(...page.messages)
      from = page.next
    } while (from !== undefined)
    if (reverse) messages.reverse()
    const last = messages.at(-1)
    return {
      epoch: epochOf(last?.cursor),
      floor: messages[0]?.offset ?? 0,
      head: (last?.offset ?? -1) + 1,
      messages: messages.map(({ offset, data }) => ({ offset, id: data.id, digest: digestOf(data) })),
    }
  }

  /** From now on the browser gives this page no database any more. */
  loseStorage(): void {
    const gone = (): never => {
      throw new DOMException('The storage is gone', 'UnknownError')
    }
    IDBDatabase.prototype.transaction = gone
    IDBFactory.prototype.open = gone
  }

  /** As a newer build would, which leaves the database at a higher version. */
  async upgrade(): Promise<number> {
    let count = 0
    for (const factory of await factories()) {
      for (const { name = '', version = 1 } of await factory.databases()) {
        const request = factory.open(name, version + 1)
        request.onsuccess = () => request.result.close()
        count++
      }
    }
    return count
  }

  // ---- what it hears

  #subscribe(sub: string, resume: string | undefined, again: boolean): void {
    let started = false
    const start = (cursor: string | undefined): void => {
      if (started || cursor === undefined) return
      started = true
      // Nothing is ever trimmed, so whoever wants all begins at 0.
      const next = resume === undefined ? 0 : offsetOf(cursor)
      this.#tell({ e: 'start', sub, epoch: epochOf(cursor), next, resumed: again })
    }
    const subscription: Subscription = this.#topic.subscribe(
      (message) => {
        start(subscription.cursor)
        return this.#handle(sub, message, resume !== undefined)
      },
      {
        from: 'start',
        ...(resume !== undefined && { resume }),
        onGap: ({ from, to, reason }) => {
          start(subscription.cursor)
          this.#tell({ e: 'gap', sub, epoch: epochOf(subscription.cursor), from, to, reason })
        },
      },
    )
    subscription.ready.then(
      ({ cursor }) => start(cursor),
      () => {}, // `done` says so
    )
    subscription.done.catch(({ code }: MessError) => this.#tell({ e: 'ended', sub, code }))
  }

  #handle(sub: string, { data, offset, cursor }: Message<Note>, confirmed: boolean): void | Promise<void> {
    this.#tell({ e: 'deliver', sub, epoch: epochOf(cursor), offset, id: data.id, digest: digestOf(data) })
    if (!this.#options.slow && !confirmed) return this.#tell({ e: 'handled', sub, offset })
    return (async () => {
      if (this.#options.slow) await new Promise((resolve) => setTimeout(resolve))
      // Now and then for so long that the tab may well die meanwhile.
      if (confirmed && offset % 4 === 0) await this.#linger()
      this.#tell({ e: 'handled', sub, offset })
      if (!confirmed) return
      this.#handledAt = this.#told.length
      await new Promise<void>((resolve) => {
        this.#confirmed = resolve
      })
    })()
  }

  async #linger(): Promise<void> {
    if (this.#hurried) return
    await new Promise<void>((resolve) => {
      this.#hurry = resolve
      setTimeout(resolve, LONG_MS)
    })
  }

  #failed(id: string, error: MessError): void {
    if (error instanceof RefusedError) this.#tell({ e: 'fault', kind: 'message refused' })
    else if (error.code === 'store_full') this.#tell({ e: 'fault', kind: 'quota exhausted' })
    if (error instanceof RefusedError || NO_ROOM.includes(error.code)) this.#tell({ e: 'refused', id })
    else this.#tell({ e: 'trouble', code: error.code ?? String(error), cause: String(error.cause), id })
  }

  async #token(why: string): Promise<string> {
    if (why === 'refused') this.#tell({ e: 'fault', kind: 'token refused' })
    return (await fetch('/token/ana')).text()
  }

  #tell(told: Told): void {
    this.#told.push(told)
    if (this.#telling) return
    this.#telling = true
    queueMicrotask(() => {
      this.#telling = false
      const batch = this.since(this.#sent)
      this.#sent = this.#told.length
      tell(JSON.stringify(batch))
    })
  }
}

function sly(order: Order): Note {
  let looks = 0
  const deep = JSON.parse('['.repeat(80) + ']'.repeat(80))
  return { toJSON: () => (looks++ === 0 ? noteOf(order) : { ...noteOf(order), deep }) } as unknown as Note
}

const noteOf = ({ id, pad }: Order): Note => ({ id, pad })
const epochOf = (cursor: string | undefined): string => parseCursor(cursor)?.epoch ?? ''
const offsetOf = (cursor: string): number => parseCursor(cursor)?.offset ?? -1

globalThis.begin = (options) => {
  globalThis.life = new Life(options)
}
