import type { Retention } from '../broker/retention.ts'
import { inProcessLinks } from '../link/in-process.ts'
import { webSocketLinks } from '../link/websocket.ts'
import { MemoryStore } from '../store/memory.ts'
import { MemoryCursors } from './cursors.ts'
import { MessError } from './errors.ts'
import { Homes, LOCAL_RETENTION } from './homes.ts'
import { type CommonOptions, makeMess, type Mess } from './mess.ts'
import { MemoryOutbox } from './outbox.ts'
import type { AskToken } from './token.ts'

export interface MessOptions extends CommonOptions {
  /** The server. Without one, topics live here: in the process, or between the tabs of an origin. */
  readonly url?: string
  /** Separates applications and instances on one origin. Default `main`. */
  readonly name?: string
  /** The stable owner of what is stored here, known offline; the token's subject must be the same. */
  readonly user?: string
  /** Called for a token, and again before it expires or when it was refused. */
  readonly token?: AskToken
  /** `durable` (default where there is IndexedDB) or `memory`. */
  readonly storage?: 'durable' | 'memory'
  /** Whether tabs share local topics and the outbox. Default true where the browser can. */
  readonly tabs?: boolean
  /** What local topics keep, at least. Default 10,000 messages and 64 MiB. */
  readonly retention?: Retention
}

/**
 * A client. Opens nothing, draws nothing and touches no global until it is first used.
 * @throws {MessError} `bad_option`
 */
export function createMess(options: MessOptions = {}): Mess {
  const { url } = options
  if (url !== undefined && !URL.canParse(url)) throw new MessError('bad_option', 'url: an absolute URL', { scope: 'mess' })
  return makeMess({
    options,
    parts: (events) => {
      const homes = url === undefined ? new Homes({ retention: options.retention ?? LOCAL_RETENTION, store: () => new MemoryStore(), term: 0 }) : undefined
      return {
        local: url === undefined,
        open: homes ? inProcessLinks((topic) => homes.get(topic)) : webSocketLinks(url as string),
        outbox: new MemoryOutbox(events),
        cursors: new MemoryCursors(),
        storage: () => 'memory',
        role: () => 'alone',
        close: () => homes?.close(),
      }
    },
  })
}
