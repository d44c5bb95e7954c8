declare const self: ServiceWorkerGlobalScope
/** Written in front of this file by the build; see vite.config.ts. */
declare const SHELL: {
  /** Changes with any file. */
  readonly version: string
  /** Paths of the page's files; `/` is the page. */
  readonly files: readonly string[]
}

/**
 * Keeps the files of the page, so that it opens without a network. Only those: what people write is Messkit's to keep, and
 * requests to the API are none of our business.
 */
const PREFIX = 'messkit-shell '
const CACHE = PREFIX + SHELL.version
const FILES = new Set(SHELL.files)

self.addEventListener('install', (event) => {
  // All or nothing: a page of two versions would be worse than an old one.
  const requests = SHELL.files.map((path) => new Request(path, { cache: 'no-cache' }))
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(requests)))
})

self.addEventListener('activate', (event) => {
  event.waitUntil(
    caches.keys().then((names) => {
      const old = names.filter((name) => name.startsWith(PREFIX) && name !== CACHE)
      return Promise.all(old.map((name) => caches.delete(name)))
    }),
  )
})

self.addEventListener('fetch', (event) => {
  const { request } = event
  const { origin, pathname } = new URL(request.url)
  if (request.method !== 'GET' || origin !== location.origin || !FILES.has(pathname)) return
  event.respondWith(fromCache(request, pathname))
})

self.addEventListener('message', ({ data }) => {
  if (data === 'take over') void self.skipWaiting()
})

async function fromCache(request: Request, path: string): Promise<Response> {
  // By path, since the page's address carries the user's name behind a question mark.
  const kept = await (await caches.open(CACHE)).match(path)
  return kept ?? fetch(request) // a browser that is short of space may have thrown it away
}

export {}
