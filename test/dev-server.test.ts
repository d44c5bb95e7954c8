import { statSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { endLaunches, LAUNCH, START_MS, type Started, start } from './support/launch.ts'

describe('the development server', { timeout: START_MS }, () => {
  let started: Started
  beforeAll(async () => {
    started = await start(process.execPath, LAUNCH)
  }, START_MS)
  afterAll(endLaunches)

  test('serves the page with a strict policy, and the Worker, on one origin', async () => {
    const page = await fetch(started.url)
    const health = await fetch(`${started.url}/health`)

    expect(page.headers.get('content-type')).toContain('text/html')
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'")
    expect(health.status).toBe(200)
  })

  test('mints a token for its own page', async () => {
    const response = await askToken(started.url, { origin: started.url })
    const { token } = (await response.json()) as { token: string }
    const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())

    expect(claims).toMatchObject({ sub: 'ana', aud: 'messkit' })
    expect(claims.exp - claims.iat).toBe(600)
  })

  test.each([
    ['another page', { origin: 'https://example.com' }],
    ['a request without an origin', {}],
    ['a page in a sandbox', { origin: 'null' }],
  ])('mints none for %s', async (_, headers) => {
    const response = await askToken(started.url, headers)

    expect(response.status).toBe(403)
  })

  test('mints none for a GET, a form, or a user that is no name', async () => {
    const headers = { origin: started.url }
    const json = { ...headers, 'content-type': 'application/json' }
    const url = `${started.url}/dev/token`

    expect((await fetch(url, { headers })).status).toBe(405)
    expect((await fetch(url, { method: 'POST', headers, body: 'user=ana' })).status).toBe(415)
    expect((await fetch(url, { method: 'POST', headers: json, body: '{"user":"a b"}' })).status).toBe(400)
    expect((await fetch(url, { method: 'POST', headers: json, body: '[' })).status).toBe(400)
  })

  test.skipIf(process.platform === 'win32')('keeps its secret to the user who started it', () => {
    const { mode } = statSync(join(started.dataDir, '.token-secret'))

    expect(mode & 0o777).toBe(0o600)
  })
})

function askToken(url: string, headers: Record<string, string>): Promise<Response> {
  const body = JSON.stringify({ user: 'ana' })
  return fetch(`${url}/dev/token`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body,
  })
}
