// In front of the Worker during development: serves the demo and mints short-lived tokens for whoever sits at this machine.
// It is part of `npm start` alone. The deployed Worker mints no tokens.

const TOKEN_SECONDS = 600
const BODY_BYTES = 1024
const USER = /^[A-Za-z0-9_.@-]{1,64}$/
const TYPES = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  json: 'application/json; charset=utf-8',
  map: 'application/json; charset=utf-8',
  svg: 'image/svg+xml',
  png: 'image/png',
  jpg: 'image/jpeg',
  webp: 'image/webp',
  ico: 'image/x-icon',
  woff2: 'font/woff2',
  txt: 'text/plain; charset=utf-8',
  webmanifest: 'application/manifest+json; charset=utf-8',
  wasm: 'application/wasm',
}

export default {
  async fetch(request, env) {
    const url = new URL(request.url)
    // A name that somebody else's DNS points at this machine must not reach it.
    if (!isLoopback(url.hostname)) return text(403, 'this server answers on this machine only')
    if (url.pathname === '/health' || url.pathname === '/v1' || url.pathname.startsWith('/v1/'))
      return env.MAIN.fetch(request)
    if (url.pathname === '/dev/token') return token(request, url, env)
    return file(request, url, env)
  },
}

async function token(request, url, env) {
  if (request.method !== 'POST') return text(405, 'POST only', { allow: 'POST' })
  if (request.headers.get('origin') !== url.origin) return text(403, 'only pages of this server may ask for a token')
  if (!/^application\/json\b/i.test(request.headers.get('content-type') ?? ''))
    return text(415, 'send application/json')
  const user = await userOf(request)
  if (user === undefined) return text(400, 'send { "user": "…" } with 1 to 64 of A-Z a-z 0-9 _ . @ -')
  const iat = Math.floor(Date.now() / 1000)
  const exp = iat + TOKEN_SECONDS
  const claims = { iss: env.TOKEN_ISSUER, aud: env.TOKEN_AUDIENCE, sub: user, iat, exp }
  return Response.json(
    { token: await sign(claims, env.TOKEN_SECRET), expiresAt: exp * 1000 },
    { headers: { 'cache-control': 'no-store' } },
  )
}

async function userOf(request) {
  if (Number(request.headers.get('content-length') ?? Infinity) > BODY_BYTES) return undefined
  try {
    const { user } = await request.json()
    return typeof user === 'string' && USER.test(user) ? user : undefined
  } catch {
    return undefined
  }
}

async function sign(claims, secret) {
  const encoder = new TextEncoder()
  const head = `${base64url(encoder.encode('{"alg":"HS256","typ":"JWT"}'))}.${base64url(encoder.encode(JSON.stringify(claims)))}`
  const key = await crypto.subtle.importKey('raw', encoder.encode(secret), { name: 'HMAC', hash: 'SHA-256' }, false, [
    'sign',
  ])
  return `${head}.${base64url(new Uint8Array(await crypto.subtle.sign('HMAC', key, encoder.encode(head))))}`
}

const base64url = (bytes) =>
  btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replace(/=+$/, '')

async function file(request, url, env) {
  if (request.method !== 'GET' && request.method !== 'HEAD') return text(405, 'GET only', { allow: 'GET, HEAD' })
  const extension = /\.([a-z0-9]+)$/i.exec(url.pathname)?.[1]?.toLowerCase()
  // A path without a file name is a view of the page, and the page itself finds out which.
  const path = extension === undefined ? '/index.html' : url.pathname
  const found = await env.DEMO.fetch(`http://demo${path}`, { method: request.method })
  if (!found.ok) return text(404, 'not found')
  return new Response(found.body, {
    headers: {
      'content-type': TYPES[extension ?? 'html'] ?? 'application/octet-stream',
      // The names of built assets change with their content.
      'cache-control': path.startsWith('/assets/') ? 'public, max-age=31536000, immutable' : 'no-cache',
      ...security(url),
    },
  })
}

function security(url) {
  const policy = [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "font-src 'self'",
    "worker-src 'self'",
    "manifest-src 'self'",
    `connect-src 'self' ws://${url.host}`, // not every browser counts a socket as 'self'
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ]
  return {
    'content-security-policy': policy.join('; '),
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'cross-origin-opener-policy': 'same-origin',
  }
}

const isLoopback = (host) => host === 'localhost' || host === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(host)
const text = (status, message, headers = {}) =>
  new Response(`${message}\n`, {
    status,
    headers: { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff', ...headers },
  })
