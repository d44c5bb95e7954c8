import { memoryCursors } from './client/cursors.ts'
import { type CommonOptions, checkUrl, type Mess, makeMess } from './client/mess.ts'
import { MemoryOutbox } from './client/outbox.ts'
import type { AskToken } from './client/token.ts'
import { webSocketLinks } from './link/websocket.ts'

export interface RemoteOptions extends CommonOptions {
  /** The server: `https://…`, or `http://…` on one machine. */
  readonly url: string
  /** Whose messages these are; the token's subject must be the same. */
  readonly user?: string
  /** Called for a token, and again before it expires or when it was refused. */
  readonly token?: AskToken
}

/**
 * A client of a server that keeps what it must in memory: the smallest one, for pages and processes without offline use.
 * @throws {MessError} `bad_option`
 */
export function createMess(options: RemoteOptions): Mess {
  checkUrl(options.url)
  return makeMess({
    options,
    parts: (events) => ({
      local: false,
      open: webSocketLinks(options.url),
      outbox: new MemoryOutbox(events),
      cursors: memoryCursors(),
      storage: () => 'memory',
      role: () => 'alone',
      close: () => {},
    }),
  })
}
