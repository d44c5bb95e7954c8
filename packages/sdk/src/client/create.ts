import type { Retention } from '../broker/retention.ts'
import { inProcessLinks } from '../link/in-process.ts'
import { webSocketLinks } from '../link/websocket.ts'
import { canShare } from '../platform.ts'
import { memoryCursors } from './cursors.ts'
import type { Homes } from './homes.ts'
import { type CommonOptions, checkUrl, type Mess, makeMess, type Parts, type PartsEvents } from './mess.ts'
import { MemoryOutbox } from './outbox.ts'
import { SessionParts } from './session-parts.ts'
import { type TabOptions, TabParts } from './tab-parts.ts'
import type { AskToken } from './token.ts'

/** What local topics keep unless told otherwise. */
const LOCAL_RETENTION: Retention = { messages: 10_000, bytes: 64 * 1024 * 1024 }

export interface MessOptions extends CommonOptions {
  /** The server. Without one, topics live here: in the process, or between the tabs of an origin. */
  readonly url?: string
  /** Separates applications and instances on one origin. Default `main`. */
  readonly name?: string
  /** The stable owner of what is stored here, known offline; the token's subject must be the same. */
  readonly user?: string
  /** Called for a token, and again before it expires or when it was refused. */
  readonly token?: AskToken
  /** `durable` (default where there is IndexedDB), or `memory`: nothing is kept. Tabs share local topics also then, while one is open. */
  readonly storage?: 'durable' | 'memory'
  /**
   * Whether the tabs of an origin share local topics and the outbox. Default true where the browser can: it needs IndexedDB, Web
   * Locks and BroadcastChannel, so a secure context. Without them, and with `false`, every tab is by itself and keeps all in memory.
   */
  readonly tabs?: boolean
  /** What local topics keep, at least. Default 10,000 messages and 64 MiB. */
  readonly retention?: Retention
}

/**
 * A client. Opens nothing, draws nothing and touches no global until it is first used.
 * @throws {MessError} `bad_option`
 */
export function createMess(options: MessOptions = {}): Mess {
  if (options.url !== undefined) checkUrl(options.url)
  return makeMess({ options, parts: (events) => partsFor(options, events) })
}

function partsFor(options: MessOptions, events: PartsEvents): Parts {
  const { url, storage, tabs, name = 'main', user, retention = LOCAL_RETENTION } = options
  const tab: TabOptions = { url, name, user, retention }
  if (tabs !== false && canShare(storage !== 'memory')) {
    if (storage !== 'memory') return new TabParts(tab, events)
    if (url === undefined) return new SessionParts(tab, events)
  }
  return inMemory(tab, events)
}

function inMemory({ url, retention }: TabOptions, events: PartsEvents): Parts {
  let homes: Promise<Homes> | undefined
  // Loaded only where there is no server; a page that could not load it now may be able to later.
  const load = (): Promise<Homes> => {
    homes ??= import('./local.ts').then(({ homesInMemory }) => homesInMemory(retention))
    homes.catch(() => {
      homes = undefined
    })
    return homes
  }
  return {
    local: url === undefined,
    open: url === undefined ? inProcessLinks(async (topic) => (await load()).get(topic)) : webSocketLinks(url),
    outbox: new MemoryOutbox(events),
    cursors: memoryCursors(),
    storage: () => 'memory',
    role: () => 'alone',
    close: async () => (await homes)?.close(),
  }
}
