import { MemoryCursors } from './client/cursors.ts'
import { MessError } from './client/errors.ts'
import { type CommonOptions, makeMess, type Mess } from './client/mess.ts'
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

/** A client of a server that keeps what it must in memory: the smallest one, for pages and processes without offline use. */
export function createMess(options: RemoteOptions): Mess {
  if (!URL.canParse(options.url)) throw new MessError('bad_option', 'url: an absolute URL', { scope: 'mess' })
  return makeMess({
    options,
    parts: (events) => ({
      local: false,
      open: webSocketLinks(options.url),
      outbox: new MemoryOutbox(events),
      cursors: new MemoryCursors(),
      storage: () => 'memory',
      role: () => 'alone',
      close: () => {},
    }),
  })
}
