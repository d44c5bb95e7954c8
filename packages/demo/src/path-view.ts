import type { Status } from '@messkit/sdk'
import { byId, count, setText } from './dom.ts'

export interface PathFacts {
  readonly status: Status
  readonly plugged: boolean
  readonly written: number
  /** How many the topic has had, as far as this page has heard. */
  readonly stored: number | undefined
  readonly received: number
  readonly receivedPerSecond: number
  /** What went over the cable since it was drawn last. */
  readonly moved: { readonly up: boolean; readonly down: boolean }
}

type Look = 'online' | 'connecting' | 'unplugged' | 'away' | 'trouble'

/** What stands below the server's plate. */
const WORDS: Record<Look, string> = {
  online: 'online',
  connecting: 'connecting …',
  unplugged: 'unplugged',
  away: 'no answer',
  trouble: 'refused us',
}
const STORAGE: Record<Status['storage'], string> = {
  disk: 'on disk',
  memory: 'in memory',
  full: 'disk full',
  lost: 'disk lost',
}
const ROLES: Record<Status['role'], string> = {
  leader: 'This tab sends what all tabs of this browser write.',
  follower: 'Another tab of this browser sends what is written here.',
  alone: 'This tab sends what it writes itself.',
}
/** Below this a rate is noise. */
const BUSY_PER_SECOND = 20
const FLOW_MS = 700
/** There Enter is a key like the others, and the line has better uses. */
const onGlass = matchMedia('(pointer: coarse)')

/** The way of a message, as four plates and a cable: written, waiting, stored, received. */
export class PathView {
  readonly #root = byId('path', 'section')
  readonly #cable = byId('cable', 'button')
  readonly #hint = byId('hint', 'p')
  readonly #flows = { up: 0, down: 0 }

  constructor({ onCable }: { onCable: () => void }) {
    this.#cable.addEventListener('click', onCable)
  }

  draw(facts: PathFacts): void {
    const { status, plugged, written, stored, received, receivedPerSecond, moved } = facts
    const look = lookOf(status, plugged)
    this.#root.dataset.look = look
    this.#root.dataset.waiting = status.unsent > 0 ? 'some' : 'none'
    plate('written', count(written))
    plate('waiting', count(status.unsent))
    plate('stored', stored === undefined ? '–' : count(stored))
    plate('received', count(received))
    setText(byId('storage', 'small'), STORAGE[status.storage])
    setText(
      byId('connection', 'small'),
      look === 'trouble' && status.connection === 'auth-needed' ? 'needs a token' : WORDS[look],
    )
    setText(
      byId('rate', 'small'),
      receivedPerSecond >= BUSY_PER_SECOND ? `${count(Math.round(receivedPerSecond))}/s` : 'in this tab',
    )
    setText(this.#cable, plugged ? 'Go offline' : 'Go online')
    setText(this.#hint, hintOf(look, status.storage))
    setText(byId('role', 'p'), ROLES[status.role])
    if (moved.up) this.#flow('up')
    if (moved.down) this.#flow('down')
  }

  /** To the server, or from it; shown for a moment, however much it is. */
  #flow(way: 'up' | 'down'): void {
    clearTimeout(this.#flows[way])
    this.#root.classList.add(way)
    this.#flows[way] = Number(setTimeout(() => this.#root.classList.remove(way), FLOW_MS))
  }
}

/** A person hears of it once it lasts; see `Announcer`. */
export function connectionSentence(status: Status, plugged: boolean): string {
  const sentences: Record<Look, string> = {
    online: 'Online.',
    connecting: 'Connecting.',
    unplugged: 'Offline. Messages wait in the outbox.',
    away: 'The server does not answer. Messages wait in the outbox.',
    trouble: 'The server refused the connection.',
  }
  return sentences[lookOf(status, plugged)]
}

function lookOf({ connection }: Status, plugged: boolean): Look {
  if (!plugged) return 'unplugged'
  if (connection === 'auth-needed' || connection === 'denied' || connection === 'closed') return 'trouble'
  if (connection === 'offline') return 'away'
  return connection === 'connecting' ? 'connecting' : 'online'
}

function hintOf(look: Look, storage: Status['storage']): string {
  if (look === 'online' || look === 'connecting')
    return onGlass.matches ? '' : 'Enter sends, Shift + Enter starts a new line.'
  return storage === 'disk'
    ? 'It waits in the outbox, on disk, and survives a reload.'
    : 'It waits in memory; a reload would lose it.'
}

function plate(id: string, text: string): void {
  const element = byId(id, 'b')
  setText(element, text)
  // Long numbers have to fit into a round plate.
  element.dataset.chars = String(Math.min(9, text.length))
}
