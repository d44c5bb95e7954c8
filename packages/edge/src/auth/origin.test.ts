import { expect, test } from 'vitest'
import { mayConnect } from './origin.ts'

const OWN = 'https://mess.example.com'
const ALLOWED = 'https://app.example.com, http://localhost:5173,https://Shop.Example.com/'

test.each<[string | null, boolean]>([
  [null, true],
  [OWN, true],
  ['https://app.example.com', true],
  ['http://localhost:5173', true],
  ['https://shop.example.com', true],
  ['null', false],
  ['', false],
  ['https://evil.example', false],
  ['https://app.example.com.evil.io', false],
  ['https://evil-app.example.com', false],
  ['https://evilapp.example.com', false],
  ['https://sub.app.example.com', false],
  ['https://example.com', false],
  ['http://app.example.com', false],
  ['https://app.example.com:8443', false],
  ['https://app.example.com:443', false],
  ['https://app.example.com/', false],
  ['https://app.example.com/path', false],
  ['https://APP.example.com', false],
  ['https://app.example.com.', false],
  ['https://app.example.com@evil.io', false],
  ['https://user@app.example.com', false],
  ['http://localhost', false],
  ['http://localhost:51730', false],
  ['http://127.0.0.1:5173', false],
  ['http://mess.example.com', false],
  ['https://mess.example.com:8443', false],
  ['https://app.example.com, https://evil.example', false],
  ['*', false],
  ['file://', false],
  ['chrome-extension://abcdef', false],
])('an origin of %s may connect: %s', (origin, expected) => {
  expect(mayConnect(origin, { own: OWN, allowed: ALLOWED })).toBe(expected)
})

test.each(['', ',', ' ', '*', 'null', 'https://*.example.com', 'example.com', 'data:,x'])(
  'a list of "%s" opens nothing',
  (allowed) => {
    expect(mayConnect('https://app.example.com', { own: OWN, allowed })).toBe(false)
    expect(mayConnect('null', { own: OWN, allowed })).toBe(false)
    expect(mayConnect(OWN, { own: OWN, allowed })).toBe(true)
  },
)
