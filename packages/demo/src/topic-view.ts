import type { Mess, Message, Topic } from '@messkit/sdk'
import { byId, setText } from './dom.ts'
import { LogView } from './log-view.ts'
import type { Note } from './note.ts'
import type { Sent } from './outgoing.ts'
import { isWholePage, type Line, Room } from './room.ts'
import { showTopics } from './topics.ts'

interface TopicViewOptions {
  readonly mess: Mess
  readonly onMessage: (message: Message<Note>, facts: { isLive: boolean }) => Sent | undefined
  readonly onGap: () => void
  readonly onTrouble: (error: unknown) => void
  readonly onChange: () => void
}

/** The topic at hand: its messages, and where they begin and end. */
export class TopicView {
  readonly log = new LogView({
    scroller: byId('scroller', 'div'),
    list: byId('log', 'ol'),
    newest: byId('newest', 'button'),
  })
  readonly #options: TopicViewOptions
  readonly #earlier = byId('earlier', 'button')
  #room: Room | undefined
  #started = false
  #firstOffset: number | undefined
  #newestOffset: number | undefined
  /** No message of the topic is older than this offset. */
  #beginning = 0

  constructor(options: TopicViewOptions) {
    this.#options = options
    this.#earlier.addEventListener('click', () => void this.#showEarlier())
  }

  get topic(): Topic<Note> | undefined {
    return this.#room?.topic
  }

  /** Which acks belong to messages that will still be seen here. */
  get shown(): { topic: string; fromOffset: number } {
    return { topic: this.topic?.name ?? '', fromOffset: this.#firstOffset ?? 0 }
  }

  /** How many messages the topic has had, as far as this page has heard. */
  get stored(): number | undefined {
    return this.#newestOffset === undefined ? (this.#started ? 0 : undefined) : this.#newestOffset + 1
  }

  /** Shows another topic, if its name is one. What waits in the one before is sent all the same. */
  open(topic: string): void {
    const { mess, onTrouble, onChange } = this.#options
    try {
      const room: Room = new Room({
        mess,
        topic,
        onLine: (line) => this.#arrived(room, line),
        onStarted: () => this.#hasStarted(room),
      })
      this.#room?.leave()
      this.#room = room
    } catch (error) {
      onTrouble(error)
      return
    }
    this.#started = false
    this.#firstOffset = this.#newestOffset = undefined
    this.#beginning = 0
    this.log.clear()
    showTopics(topic)
    onChange()
  }

  acked(sent: Sent): void {
    if (sent.topic === this.topic?.name && sent.ack?.offset !== undefined) {
      this.#newestOffset = Math.max(this.#newestOffset ?? 0, sent.ack.offset)
    }
    this.log.acked(sent)
  }

  draw({ somethingWaits, plugged }: { somethingWaits: boolean; plugged: boolean }): void {
    this.#earlier.hidden = this.log.isFull || (this.log.oldest?.offset ?? 0) <= this.#beginning
    byId('empty', 'div').hidden = !this.log.isEmpty || somethingWaits
    setText(byId('empty-text', 'p'), emptyText(this.#started, plugged))
  }

  #hasStarted(room: Room): void {
    if (room !== this.#room) return
    this.#started = true
    this.#options.onChange()
  }

  #arrived(room: Room, line: Line): void {
    if (room !== this.#room) return
    const { onMessage, onGap, onChange } = this.#options
    let sent: Sent | undefined
    if (line.kind === 'message') {
      const { message } = line
      this.#firstOffset ??= message.offset
      this.#newestOffset = message.offset
      sent = onMessage(message, { isLive: room.isLive })
    } else if (line.kind === 'gap') {
      // Another life of the log has offsets of its own.
      if (line.gap.reason !== 'retention') this.#newestOffset = line.gap.to > 0 ? line.gap.to - 1 : undefined
      onGap()
    }
    this.log.add(line, sent)
    onChange()
  }

  async #showEarlier(): Promise<void> {
    const room = this.#room
    const { oldest } = this.log
    if (!room || !oldest) return
    this.#earlier.disabled = true
    try {
      const messages = await room.before(oldest)
      if (room !== this.#room) return
      if (!isWholePage(messages)) this.#beginning = messages[0]?.offset ?? oldest.offset
      this.log.addBefore(messages)
    } catch (error) {
      if (room === this.#room) this.#options.onTrouble(error)
    } finally {
      this.#earlier.disabled = false
      this.#options.onChange()
    }
  }
}

function emptyText(started: boolean, plugged: boolean): string {
  if (started) return 'Nothing here yet. Write something, and watch it arrive in a second tab.'
  return plugged
    ? 'Asking the server for the newest messages.'
    : 'The cable is out. What is stored comes once it is back.'
}
