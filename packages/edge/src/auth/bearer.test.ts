import { LIMITS } from '@messkit/sdk/protocol'
import { base64url } from 'jose'
import { expect, test } from 'vitest'
import { readBearer, readProtocols } from './bearer.ts'

const read = (header: string | null) => readBearer(readProtocols(header))

test('reads the token beside the protocol, in any order', () => {
  const offer = `bearer.${base64url.encode('a.b.c')}`

  expect(read(`messkit.1, ${offer}`)).toEqual({ token: 'a.b.c' })
  expect(read(`${offer},messkit.1`)).toEqual({ token: 'a.b.c' })
})

test.each<[string | null, string]>([
  [null, 'token_missing'],
  ['', 'token_missing'],
  ['messkit.1', 'token_missing'],
  ['messkit.1, bearer.', 'token_missing'],
  ['messkit.1, Bearer.YQ', 'token_missing'],
  ['messkit.1, bearer.YQ, bearer.Yg', 'token_invalid'],
  ['messkit.1, bearer.a~b', 'token_invalid'],
  ['messkit.1, bearer._w', 'token_invalid'],
  [`messkit.1, bearer.${'A'.repeat(LIMITS.tokenBytes * 2)}`, 'token_too_large'],
])('refuses %.40s', (header, code) => {
  expect(read(header)).toMatchObject({ code })
})
