import type { AckRange, Refusal, Row } from '../store/indexeddb-rows.ts'

/** What the tabs of one origin, application and user tell each other. Hints but for the frames: the truth is in IndexedDB. */
export interface TabMessages {
  /** The sender is new here. */
  hello: undefined
  /** The sender leads: it has the homes, the connections, and drains the outbox. Links to earlier leaders are dead. */
  holder: { readonly term: number }
  /** Whether the leader lives; and that it does. */
  ask: undefined
  answer: { readonly term: number }
  /** From the leader: how it is connected to a topic's server, in words of its own. */
  uplink: { readonly topic: string; readonly connection: unknown }
  /** To the leader, whoever it is: open a link. `link` is the sender's number for it. */
  open: { readonly link: number; readonly topic: string }
  opened: { readonly link: number }
  /** A frame to the home, and one from it. */
  up: { readonly link: number; readonly text: string }
  down: { readonly link: number; readonly text: string }
  /** The client, or the home, has ended the link. */
  close: { readonly link: number }
  lost: { readonly link: number; readonly code: number }
  /** There are new rows in the outbox: these, or others to be read there. */
  added: { readonly topics: readonly string[]; readonly rows: readonly Row[] }
  /** Messages of these origins were stored, or were repeats. */
  acked: { readonly acks: readonly AckRange[] }
  /** Messages were set aside. */
  refused: { readonly refusals: readonly Refusal[] }
  /** From the leader of this term: what the outbox holds. */
  counts: { readonly unsent: number; readonly bytes: number; readonly term: number }
  /** The user was signed out: close, and let go of the database. */
  forget: undefined
  /** More or fewer messages are set aside than before. */
  setAside: undefined
  /** Never posted: a tab of another version has said something; whether its version is newer. */
  other: boolean
}

type Heard = { [K in keyof TabMessages]: (body: TabMessages[K], from: string) => void }

/** Raised when an older build would misread a newer one's messages; then they do not talk, and IndexedDB still serves both. */
const VERSION = 2

interface Envelope {
  readonly v: number
  readonly kind: keyof TabMessages
  readonly from: string
  readonly to: string | undefined
  readonly body: never
}

/** The channel between tabs. Whatever is posted while it is closed is lost, as it may be anyway. */
export class TabBus {
  readonly id: string
  readonly #listeners: { readonly kind: keyof TabMessages; readonly listener: Heard[keyof TabMessages] }[] = []
  #channel: BroadcastChannel | undefined

  constructor(id: string) {
    this.id = id
  }

  open(name: string): void {
    this.close()
    this.#channel = new BroadcastChannel(name)
    this.#channel.onmessage = ({ data }: MessageEvent<Envelope | null>) => {
      // Whoever else is on the origin may say anything here.
      if (!data?.v) return
      const { kind, from, to, body } = data
      if (data.v !== VERSION) this.#tell('other', (data.v > VERSION) as never, from)
      else if (to === undefined || to === this.id) this.#tell(kind, body, from)
    }
  }

  #tell(kind: keyof TabMessages, body: never, from: string): void {
    for (const known of this.#listeners) if (known.kind === kind) known.listener(body, from)
  }

  close(): void {
    this.#channel?.close()
    this.#channel = undefined
  }

  on<K extends keyof TabMessages>(kind: K, listener: Heard[K]): void {
    this.#listeners.push({ kind, listener })
  }

  /** @param to one tab; left out, all others */
  post<K extends keyof TabMessages>(kind: K, body: TabMessages[K], to?: string): void {
    this.#channel?.postMessage({ v: VERSION, kind, from: this.id, to, body })
  }
}
