import { exportJWK, generateKeyPair } from 'jose'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { RemoteKeys } from './remote-keys.ts'

const MINUTE_MS = 60_000
let now = 0
let served: (() => Response | Promise<Response>) | undefined
const fetched = vi.fn(async () => {
  if (!served) throw new TypeError('connection refused')
  return served()
})

beforeEach(() => {
  now = 1_000_000
  served = undefined
  fetched.mockClear()
  vi.stubGlobal('fetch', fetched)
  vi.spyOn(console, 'error').mockImplementation(() => {})
})

afterEach(() => {
  vi.unstubAllGlobals()
  vi.restoreAllMocks()
})

const make = () => new RemoteKeys('https://issuer.example/keys', () => now)
const wanted = (kid: string) => ({ kid, alg: 'ES256' })

async function publish(...kids: string[]): Promise<void> {
  const { publicKey } = await generateKeyPair('ES256', { extractable: true })
  const jwk = await exportJWK(publicKey)
  served = () => Response.json({ keys: kids.map((kid) => ({ ...jwk, kid })) })
}

test('asks once and serves many', async () => {
  await publish('a')
  const keys = make()

  for (let i = 0; i < 100; i++) expect(await keys.find(wanted('a'))).toMatchObject({ kid: 'a' })

  expect(fetched).toHaveBeenCalledOnce()
})

test('lets those who come at the same time wait for one answer', async () => {
  await publish('a')
  const answer = served as () => Response
  const everybodyAsked = Promise.withResolvers<void>()
  served = async () => {
    await everybodyAsked.promise
    return answer()
  }
  const keys = make()

  const asked = Array.from({ length: 100 }, () => keys.find(wanted('a')))
  everybodyAsked.resolve()
  const found = await Promise.all(asked)

  expect(found.every((key) => typeof key === 'object')).toBe(true)
  expect(fetched).toHaveBeenCalledOnce()
})

test('asks again for a key that is not known, and not more often than its pause allows', async () => {
  await publish('a')
  const keys = make()
  await keys.find(wanted('a'))
  await publish('a', 'b')
  now += MINUTE_MS

  expect(await keys.find(wanted('b'))).toMatchObject({ kid: 'b' })
  const flood = await Promise.all(Array.from({ length: 1000 }, (_, i) => keys.find(wanted(`made-up-${i}`))))
  expect(new Set(flood)).toEqual(new Set(['unavailable']))
  expect(fetched).toHaveBeenCalledTimes(2)

  now += MINUTE_MS
  expect(await keys.find(wanted('made-up'))).toBeUndefined()
  expect(fetched).toHaveBeenCalledTimes(3)
})

test('goes on with what it knows while the issuer is down, but not forever', async () => {
  await publish('a')
  const keys = make()
  await keys.find(wanted('a'))
  served = undefined

  now += 30 * MINUTE_MS
  expect(await keys.find(wanted('a'))).toMatchObject({ kid: 'a' })
  now += 31 * MINUTE_MS
  expect(await keys.find(wanted('a'))).toBe('unavailable')

  await publish('a')
  now += MINUTE_MS
  expect(await keys.find(wanted('a'))).toMatchObject({ kid: 'a' })
})

test('drops a key that the issuer has withdrawn', async () => {
  await publish('a')
  const keys = make()
  await keys.find(wanted('a'))
  await publish('b')

  now += 11 * MINUTE_MS
  // The set was asked for just now, so an unknown key could still be a newer one.
  expect(await keys.find(wanted('a'))).toBe('unavailable')
  now += MINUTE_MS
  expect(await keys.find(wanted('a'))).toBeUndefined()
})

test.each<[string, () => Response]>([
  ['another status', () => new Response('{"keys":[]}', { status: 500 })],
  ['a way elsewhere', () => new Response(null, { status: 302, headers: { location: 'https://evil.example' } })],
  ['no JSON', () => new Response('<html>')],
  ['no key set', () => Response.json({ keys: 'none' })],
  ['a flood', () => new Response(`{"keys":[],"x":"${'x'.repeat(300_000)}"}`)],
])('does not take %s for keys, nor asks at once again', async (_, answer) => {
  served = answer
  const keys = make()

  expect(await keys.find(wanted('a'))).toBe('unavailable')
  expect(await keys.find(wanted('a'))).toBe('unavailable')

  expect(fetched).toHaveBeenCalledOnce()
})
