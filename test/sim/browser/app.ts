import {
  type Cursor,
  createMess,
  type Mess,
  type Message,
  type MessError,
  type Receipt,
  type Subscription,
} from '../../../packages/sdk/src/index.ts'
import { parseCursor } from '../../../packages/sdk/src/protocol/cursor.ts'
import type { FinalLog } from '../../support/checker/history.ts'
import type { Story } from './story.ts'
import type { Tab } from './tab.ts'

export const SERVER = 'https://sim.test'
export const RESUMED = 'main'

/** What messages hold. */
export interface Note {
  readonly n: string
  /** The server refuses it until it was started so often. */
  readonly refuse?: number
  readonly pad: string
}

export interface AppOptions {
  /** Topics on the server, and those between the tabs. */
  readonly remote: readonly Story[]
  readonly local: readonly Story[]
  readonly retentionMessages: number | undefined
  readonly asyncHandlers: number
  /** How many messages of topics on the server are kept in the browser and shown. Left out: none. */
  readonly replicaMessages: number | undefined
  readonly token: () => string
  /** Whether this browser has saved a position on its disk. */
  readonly saved: (story: Story) => boolean
}

/** The application that runs in a tab, written against the public surface alone. All of it runs in turns of its tab. */
export class App {
  readonly tab: Tab
  readonly #options: AppOptions
  /** What every subscription that is open is called. */
  readonly subs = new Map<Story, Set<string>>()
  /** What this tab shows of each topic, and how far that goes. */
  readonly shown = new Map<Story, number>()
  #mounts = 0
  #count = 0
  #remote: Mess | undefined
  #local: Mess | undefined

  constructor(tab: Tab, options: AppOptions) {
    this.tab = tab
    this.#options = options
  }

  /** As a component does: makes its client, and subscribes to everything from the start. */
  mount(): void {
    const { remote, local, retentionMessages, token } = this.#options
    this.#mounts++
    this.subs.clear()
    if (remote.length > 0) this.#remote = this.#listenTo(createMess({ url: SERVER, token }))
    const retention = retentionMessages === undefined ? {} : { retention: { messages: retentionMessages } }
    if (local.length > 0) this.#local = this.#listenTo(createMess(retention))
    for (const story of this.#stories) {
      this.#subscribe(story)
      this.#resume(story)
    }
    for (const story of remote) this.#show(story)
  }

  /** A list of the newest messages, of which each follows the one before. */
  #show(story: Story): void {
    const { replicaMessages: maxMessages } = this.#options
    if (maxMessages === undefined) return
    this.shown.set(story, 0)
    const topic = this.#messOf(story).topic<Note>(story.topic, { replica: { maxMessages } })
    topic.view((list) => {
      if (this.tab.dead) return
      const offsets = list.flatMap((shown) => (shown.pending ? [] : [shown.offset]))
      if (offsets.some((offset, i) => offset !== (offsets[0] as number) + i))
        throw new Error(`${this.me} shows ${offsets} of ${story.name}`)
      this.shown.set(story, (offsets.at(-1) ?? -1) + 1)
    })
  }

  /** Closed and made again, as when the user of a page changes. */
  remount(): void {
    for (const mess of this.messes) void mess.close()
    this.mount()
  }

  get messes(): Mess[] {
    return [this.#remote, this.#local].flatMap((mess) => mess ?? [])
  }

  get #stories(): Story[] {
    return [...this.#options.remote, ...this.#options.local]
  }

  get me(): string {
    return `${this.tab.name}/${this.#mounts}`
  }

  #messOf(story: Story): Mess {
    return (this.#options.remote.includes(story) ? this.#remote : this.#local) as Mess
  }

  #listenTo(mess: Mess): Mess {
    const stories = this.#stories
    mess.on('refused', ({ id, error }) => {
      if (!this.tab.dead) for (const story of stories) story.setAside(id, error)
    })
    mess.on('error', () => {
      // Without a database it is by itself, with topics of its own. Its user gives it up.
      if (mess === this.#local && mess.status.role === 'alone') this.tab.die()
    })
    return mess
  }

  // ---- publishing

  publish(story: Story, note: Note): void {
    this.#follow(story, this.#messOf(story).topic<Note>(story.topic).publish(note), { note, publisher: this.me })
  }

  #follow(story: Story, receipt: Receipt, { note, publisher }: { note: string | Note; publisher: string }): void {
    const digest = typeof note === 'string' ? note : JSON.stringify(note)
    const publication = story.published(this.tab, { id: receipt.id, publisher, digest })
    receipt.stored.then(
      ({ durability }) => {
        if (!this.tab.dead) story.stored(publication, durability)
      },
      () => {},
    )
    receipt.then(
      (ack) => {
        if (!this.tab.dead) story.acked(publication, ack)
      },
      (error) => {
        if (!this.tab.dead) story.failed(publication, error)
      },
    )
  }

  /** What was refused is tried again, or forgotten. @returns how many messages wait */
  async tidyUp(onlyLook = false): Promise<number> {
    const { random } = this.tab.browser
    let waiting = 0
    for (const mess of this.messes) {
      const entries = await mess.outbox.list()
      for (const { id, topic, state, error } of entries) {
        const story = this.#stories.find((known) => known.topic === topic)
        if (state === 'waiting') waiting++
        if (state !== 'refused' || !story || this.tab.dead) continue
        const publication = story.publications.get(id)
        // A refusal that is forgotten before whoever published has heard of it would look to them like an ack.
        const heard = publication === undefined || publication.heard || publication.tab.dead || publication.closed
        if (onlyLook || heard) story.setAside(id, error)
        if (onlyLook || !heard) continue
        if (random.chance(0.3)) await mess.outbox.discard(id)
        else {
          const digest = publication?.event.digest
          // Each stands in a line of its own: what was refused has lost its place.
          this.#follow(story, mess.outbox.retry(id), {
            note: digest ?? '',
            publisher: `${this.me} again ${++this.#count}`,
          })
        }
      }
    }
    return waiting
  }

  // ---- subscribing

  #resume(story: Story): void {
    if (!this.tab.browser.random.chance(0.7)) return
    this.#subscribe(story, RESUMED)
  }

  #subscribe(story: Story, resume?: string): Subscription {
    const { saved, asyncHandlers } = this.#options
    const { random, name } = this.tab.browser
    const mess = this.#messOf(story)
    let started = false
    let sub = this.me
    const start = (next: number | undefined, epoch = ''): void => {
      if (started || this.tab.dead) return
      started = true
      // Without a database, the name means something in this tab alone.
      if (resume !== undefined) sub = mess.status.storage === 'memory' ? `${this.me} ${resume}` : `${name}/${resume}`
      const at = parseCursor(subscription.cursor)
      story.started(sub, {
        epoch: at?.epoch ?? epoch,
        next: next ?? at?.offset ?? 0,
        resumed: sub === `${name}/${resume}` && saved(story),
      })
      this.subs.set(story, (this.subs.get(story) ?? new Set()).add(sub))
    }
    const handled = (offset: number): void => {
      // What was at hand when it was stopped does not count; nor where others have gone on under the name while the page was away.
      const counts = subscription.state !== 'stopped' && story.positions.get(sub) === offset + 1
      if (!this.tab.dead && counts) story.handled(sub, offset)
    }
    const handle = (message: Message<Note>): void | Promise<void> => {
      start(undefined)
      if (this.tab.dead) return
      story.delivered(sub, message)
      if (!random.chance(asyncHandlers)) return handled(message.offset)
      return new Promise((resolve) => {
        setTimeout(() => {
          handled(message.offset)
          resolve()
        }, random.next() * 300)
      })
    }
    const subscription = mess.topic<Note>(story.topic).subscribe(handle, {
      from: 'start',
      ...(resume !== undefined && { resume }),
      onGap: (gap) => {
        start(gap.from)
        if (!this.tab.dead) story.gap(sub, gap)
      },
    })
    subscription.done.catch(({ code }: MessError) => {
      if (this.tab.dead || code !== 'forbidden') return
      this.tab.browser.fault('subscription ended for want of a right')
      this.subs.get(story)?.delete(sub)
      const { me } = this
      // Its application tries again.
      setTimeout(() => {
        if (this.me === me) this.#subscribe(story, resume)
      }, random.next() * 5_000)
    })
    // A name is let go with the page, and begins anew where its last holder stopped.
    if (resume !== undefined)
      this.tab.listen('pagehide', () => {
        if (mess.status.storage !== 'memory') started = false
      })
    subscription.ready.then(
      ({ cursor }) => start(parseCursor(cursor)?.offset),
      () => {},
    )
    return subscription
  }

  // ---- the end

  /** The log as a reader sees it, page by page. */
  async read(story: Story): Promise<FinalLog['messages']> {
    const topic = this.#messOf(story).topic<Note>(story.topic)
    const found: Message<Note>[] = []
    for (let from: Cursor | undefined; ; ) {
      const { messages, next } = await topic.history({ limit: 100, ...(from !== undefined && { from }) })
      found.push(...messages)
      if (next === undefined) break
      from = next
    }
    return found.map(({ offset, id, data }) => ({ offset, id, digest: JSON.stringify(data) }))
  }
}
