/**
 * The only reader of clocks, timers, randomness and globals. Everything here is looked up when it is called, never when it is
 * imported: Workers forbid timers and randomness at module scope, and importing must leave nothing open.
 */

/** Wall clock, in ms since 1970. For what is stored; it may jump. */
export const now = (): number => Date.now()

/** Ms since some moment, never backwards. For everything that waits. */
export const elapsed = (): number => performance.now()

export const random = (): number => Math.random()

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz0123456789'

/** A name that nobody else draws: 36^20 is more than 2^103. */
export function randomName(chars = 20): string {
  let name = ''
  for (const byte of crypto.getRandomValues(new Uint8Array(chars))) name += ALPHABET[byte % ALPHABET.length]
  return name
}

export const randomBytes = (count: number): Uint8Array<ArrayBuffer> => crypto.getRandomValues(new Uint8Array(count))

export const subtle = (): SubtleCrypto => crypto.subtle

/** Runs once at a time of {@link elapsed}; an earlier call takes the place of a later one. */
export class Alarm {
  #timer: ReturnType<typeof setTimeout> | undefined
  #at = Number.POSITIVE_INFINITY
  readonly #ring: () => void
  readonly #holds: boolean

  /** @param holds whether a process stays for it, where the platform makes that difference */
  constructor(ring: () => void, holds = true) {
    this.#ring = ring
    this.#holds = holds
  }

  set(at: number): void {
    if (at >= this.#at) return
    clearTimeout(this.#timer)
    this.#at = at
    // A timer above 2^31 ms would fire at once.
    this.#timer = setTimeout(() => this.#fire(), Math.min(Math.max(0, at - elapsed()), 2 ** 31 - 1))
    if (!this.#holds) (this.#timer as unknown as { unref?: () => void }).unref?.()
  }

  clear(): void {
    clearTimeout(this.#timer)
    this.#at = Number.POSITIVE_INFINITY
  }

  #fire(): void {
    this.#at = Number.POSITIVE_INFINITY
    this.#ring()
  }
}

/** What Chromium calls a storage bucket: a folder of its own on the disk. TypeScript does not know it. */
interface Bucket {
  readonly indexedDB: IDBFactory
  persist(): Promise<boolean>
}

interface Buckets {
  open(name: string): Promise<Bucket>
  delete(name: string): Promise<void>
}

const buckets = (): Buckets | undefined => (navigator as { storageBuckets?: Buckets }).storageBuckets

/** Names of buckets are short and of few characters. */
const bucketName = async (name: string): Promise<string> => `messkit-${await hash(name)}`

const bucketOf = async (name: string): Promise<Bucket | undefined> => buckets()?.open(await bucketName(name))

/**
 * Where databases of that name are kept: in a bucket, where the browser has buckets, since only that leaves no byte behind when it is
 * deleted. Deleted databases stay readable in the files that an origin's databases share, until the browser tidies up. One from before
 * the browser had buckets stays where it is.
 */
export async function databasesFor(name: string): Promise<IDBFactory> {
  const isNew = buckets() && !(await indexedDB.databases()).some((one) => one.name === name)
  return ((isNew && (await bucketOf(name))) || globalThis).indexedDB
}

/** Rejects also where a frozen tab holds it and the browser has no buckets: it does it later then. */
export async function deleteDatabase(name: string): Promise<void> {
  await buckets()?.delete(await bucketName(name))
  const request = indexedDB.deleteDatabase(name)
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve()
    request.onerror = request.onblocked = reject
  })
}

/** Ask that the browser does not clear what is kept here when it runs short of room. It may say no, and nothing depends on it. */
export async function keepStorage(name: string): Promise<void> {
  try {
    await ((await bucketOf(name)) ?? navigator.storage).persist()
  } catch {}
}

/** Where an error goes that nobody listens for. */
export const complain = (error: unknown): void => console.error(error)

export const soon = (task: () => void): void => queueMicrotask(task)

export const pause = (ms: number): Promise<void> => new Promise((resolve) => new Alarm(resolve).set(elapsed() + ms))

/**
 * Whether tabs of one origin can share here. Where anything is missing, as in an insecure context, every tab is by itself; and so is a
 * worker, which leads nobody, where there is nothing on a disk that a page could take up later.
 */
export function canShare(durable: boolean): boolean {
  const needed = ['BroadcastChannel', 'addEventListener', durable ? 'indexedDB' : 'document']
  return needed.every((name) => name in globalThis) && navigator.locks !== undefined
}

/** A text that tells nothing about another one but whether it is the same: 128 bits of SHA-256. */
export async function hash(text: string): Promise<string> {
  const bytes = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)))
  return Array.from(bytes.subarray(0, 16), (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** `signal` ends the waiting. `steal` takes the lock from whoever holds it. `lost`: somebody has taken it from here. */
interface LockOptions {
  readonly signal?: AbortSignal
  readonly steal?: boolean
  readonly lost?: () => void
}

/**
 * Waits for a lock that all tabs of the origin share. Resolves with what releases it, which the death of the tab does, too.
 * Rejects once `signal` ends the waiting.
 */
export function takeLock(name: string, { signal, steal, lost }: LockOptions): Promise<() => void> {
  const options = { ...(signal && { signal }), ...(steal && { steal }) }
  return new Promise((resolve, reject) => {
    let held = false
    const hold = (): Promise<void> =>
      new Promise<void>((release) => {
        held = true
        resolve(release)
      })
    navigator.locks.request(name, options, hold).catch((error) => (held ? lost?.() : reject(error)))
  })
}

/** Whether there is a page here, and not a worker. */
export const hasPage = (): boolean => 'document' in globalThis

/** Names of the locks held now that begin so. */
export async function heldLocks(prefix: string): Promise<string[]> {
  const { held = [] } = await navigator.locks.query()
  return held.flatMap(({ name = '' }) => (name.startsWith(prefix) ? name : []))
}

/** Whether nobody holds a lock now. */
export function isFree(name: string): Promise<boolean> {
  return navigator.locks.request(name, { ifAvailable: true }, (lock) => lock !== null)
}

/** The page is put away or frozen, perhaps to come back as it was, and comes back. */
export function onPage({ hide, show }: { hide: () => void; show: () => void }): () => void {
  if (!hasPage()) return () => {}
  const end = new AbortController()
  const { signal } = end
  addEventListener('pagehide', hide, { signal })
  addEventListener('pageshow', show, { signal })
  document.addEventListener('freeze', hide, { signal })
  document.addEventListener('resume', show, { signal })
  return () => end.abort()
}

/** How much of the browser's time a page has: `gone` is put away or closed, perhaps to come back. */
export type Attention = 'full' | 'hidden' | 'frozen' | 'gone'

/** Tells of a page that is hidden for so long, frozen, or put away, and of its coming back; nothing where there is no page. */
export function onAttention(hiddenMs: number, tell: (attention: Attention) => void): () => void {
  if (!hasPage()) return () => {}
  const end = new AbortController()
  const { signal } = end
  let away = false
  const hidden = new Alarm(() => tell('hidden'), false)
  const leave = (attention: Attention): void => {
    away = true
    hidden.clear()
    tell(attention)
  }
  // A page that is put away is also hidden, and is told so last.
  const look = (): void => {
    if (away) return
    hidden.clear()
    if (document.visibilityState === 'hidden') hidden.set(elapsed() + hiddenMs)
    else tell('full')
  }
  const back = (): void => {
    away = false
    tell('full')
    look()
  }
  addEventListener('pagehide', () => leave('gone'), { signal })
  addEventListener('pageshow', back, { signal })
  document.addEventListener('freeze', () => leave('frozen'), { signal })
  document.addEventListener('resume', back, { signal })
  document.addEventListener('visibilitychange', look, { signal })
  look()
  return () => {
    hidden.clear()
    end.abort()
  }
}

/** The part of Node's `process` that is used here. */
interface NodeProcess {
  readonly pid: number
  on(signal: string, told: (signal: string) => void): void
  off(signal: string, told: (signal: string) => void): void
  getBuiltinModule(name: 'os'): { hostname(): string }
}

/** Where this runs, as far as it can tell. A page knows nothing of its machine. */
export function whereabouts(): { kind: 'node' | 'browser' | 'worker'; host?: string; pid?: number } {
  const { process } = globalThis as { process?: Partial<NodeProcess> }
  if (!process?.getBuiltinModule) return { kind: hasPage() ? 'browser' : 'worker' }
  return { kind: 'node', host: process.getBuiltinModule('os').hostname().slice(0, 64), pid: process.pid as number }
}

/** Tells of signals to this process, which then do nothing else here; nothing where there are none. @returns what ends that */
export function onSignals(signals: readonly string[], told: (signal: string) => void): () => void {
  // Bundlers put something there that only looks like one.
  const { process } = globalThis as { process?: Partial<NodeProcess> }
  for (const signal of signals) process?.on?.(signal, told)
  return () => {
    for (const signal of signals) process?.off?.(signal, told)
  }
}

/** What the browser says about network and page; hints that shorten a wait and prove nothing. */
export function onHint(listener: () => void): () => void {
  const { document } = globalThis as { document?: Document }
  if (!document) return () => {}
  const end = new AbortController()
  const { signal } = end
  addEventListener('online', listener, { signal })
  addEventListener('pageshow', listener, { signal })
  const visible = (): void => {
    if (document.visibilityState === 'visible') listener()
  }
  document.addEventListener('visibilitychange', visible, { signal })
  return () => end.abort()
}
