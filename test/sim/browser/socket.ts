import { PROTOCOL } from '../../../packages/sdk/src/protocol/version.ts'
import { Connection } from '../network.ts'
import { Tab } from './tab.ts'

/** A `WebSocket` of a page, to the simulated server behind the simulated network. */
export class Socket {
  static readonly OPEN = 1
  readyState = 0
  onopen: (() => void) | undefined
  onmessage: ((event: { readonly data: unknown }) => void) | undefined
  onclose: ((event: { readonly code: number }) => void) | undefined
  onerror: (() => void) | undefined
  readonly #tab = Tab.current
  #connection: Connection | undefined

  constructor(_url: URL, protocols: readonly string[]) {
    const { browser } = this.#tab
    if (!this.#tab.acts()) return
    if (!browser.online) browser.later(1_000, () => this.#event(() => this.#fail()))
    else this.#connect(protocols.find((protocol) => protocol.startsWith(PROTOCOL.bearer)) ?? '')
  }

  #connect(bearer: string): void {
    const text = bearer.slice(PROTOCOL.bearer.length).replaceAll('-', '+').replaceAll('_', '/')
    const connection = new Connection(
      this.#tab.browser.remote.world,
      {
        opened: () => this.#event(() => this.#opened()),
        heard: (data) => this.#event(() => this.onmessage?.({ data })),
        lost: (code) => this.#event(() => (code === undefined ? this.#fail() : this.#closed(code))),
      },
      atob(text),
    )
    this.#connection = connection
    this.#tab.connections.add(connection)
  }

  /** Nothing is heard once the page has closed it. */
  #event(happen: () => void): void {
    this.#tab.run(() => {
      if (this.readyState < 2) happen()
    })
  }

  #opened(): void {
    this.readyState = Socket.OPEN
    this.onopen?.()
  }

  #fail(): void {
    this.readyState = 3
    this.#forget()
    this.onerror?.()
    this.onclose?.({ code: 1006 })
  }

  #closed(code: number): void {
    this.readyState = 3
    this.#forget()
    this.onclose?.({ code })
  }

  #forget(): void {
    if (this.#connection) this.#tab.connections.delete(this.#connection)
  }

  send(text: string): void {
    if (this.#tab.acts()) this.#connection?.toServer(this.#tab.browser.remote.spoil(text))
  }

  close(): void {
    if (this.readyState >= 2) return
    this.readyState = 2
    this.#forget()
    if (this.#tab.acts()) this.#connection?.clientCloses()
  }
}
