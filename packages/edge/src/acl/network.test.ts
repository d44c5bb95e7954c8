import { expect, test } from 'vitest'
import {
  addressRange,
  formatNetwork,
  inNetwork,
  inRange,
  networkWithin,
  parseAddress,
  parseNetwork,
} from './network.ts'

test.each([
  ['10.0.0.1', '10.0.0.1'],
  ['::ffff:10.0.0.1', '10.0.0.1'],
  ['::FFFF:0a00:0001', '10.0.0.1'],
  ['2001:DB8::', '2001:db8:0:0:0:0:0:0'],
  ['1:2:3:4:5:6:7.8.9.10', '1:2:3:4:5:6:708:90a'],
  ['::', '::0'],
])('%s and %s are one address', (one, other) => {
  expect(parseAddress(one)).toEqual(parseAddress(other))
  expect(parseAddress(one)).toBeDefined()
})

test.each([
  '',
  '1.2.3',
  '1.2.3.4.5',
  '1.2.3.256',
  '01.2.3.4',
  '1.2.3.',
  '0x1.2.3.4',
  ' 1.2.3.4',
  ':',
  ':::',
  '1::2::3',
  '1:2:3:4:5:6:7',
  '1:2:3:4:5:6:7:8:9',
  '12345::',
  'g::',
  '::1%eth0',
  '[::1]',
  '1.2.3.4::',
  '::1.2.3.4:5',
  '::'.repeat(100),
])('%j is no address', (text) => {
  expect(parseAddress(text)).toBeUndefined()
})

test.each([
  ['10.1.1.1/8', '10.0.0.0/8'],
  ['10.0.0.0/255.255.0.0', '10.0.0.0/16'],
  ['10.1.*', '10.1.0.0/16'],
  ['*', '*'],
  ['0.0.0.0/0', '0.0.0.0/0'],
  ['10.0.0.1', '10.0.0.1'],
  ['10.0.0.1/32', '10.0.0.1'],
  ['::ffff:10.1.2.3/104', '10.0.0.0/8'],
  ['2001:db8::9/32', '2001:db8:0:0:0:0:0:0/32'],
])('%s is the network %s', (text, formatted) => {
  const network = parseNetwork(text)

  expect(network && formatNetwork(network)).toBe(formatted)
  expect(parseNetwork(formatted)).toEqual(network)
})

test.each([
  '',
  '/8',
  '10.0.0.0/',
  '10.0.0.0/33',
  '10.0.0.0/-1',
  '10.0.0.0/08',
  '::/129',
  '::/255.0.0.0',
  '10.0.0.0/255.0.255.0',
  '10.*.1',
  '.*',
  '1.2.3.4.*',
  '::ffff:0:0/40',
  'host',
])('%j is no network', (text) => {
  expect(parseNetwork(text)).toBeUndefined()
})

test('a network inside another one has all its addresses there', () => {
  const texts = ['*', '0.0.0.0/0', '10.0.0.0/8', '10.1.*', '10.1.2.3', '::/0', '2001:db8::/32', '2001:db8::1']
  const networks = texts.map((text) => parseNetwork(text) ?? ('*' as never))

  for (const [i, inner] of networks.entries()) {
    for (const [j, outer] of networks.entries()) {
      const address = parseAddress(
        (texts[i] as string)
          .replace('*', '9.9')
          .replace(/\/.*/, '')
          .replace(/^9\.9$/, '9.9.9.9'),
      )
      if (networkWithin(inner, outer))
        expect(address && inNetwork(address, outer), `${texts[i]} in ${texts[j]}`).toBe(true)
    }
  }
  expect(networkWithin(networks[3] as never, networks[2] as never)).toBe(true)
  expect(networkWithin(networks[2] as never, networks[3] as never)).toBe(false)
  expect(networkWithin(networks[0] as never, networks[1] as never)).toBe(false)
})

test('a range has one family and rises; both ends are in it', () => {
  const at = (text: string) => parseAddress(text) as NonNullable<ReturnType<typeof parseAddress>>
  const range = addressRange(at('10.0.0.5'), at('10.0.0.9'))

  expect(range && [4, 5, 9, 10].map((last) => inRange(at(`10.0.0.${last}`), range))).toEqual([false, true, true, false])
  expect(range && inRange(at('::a00:7'), range)).toBe(false)
  expect(addressRange(at('10.0.0.9'), at('10.0.0.5'))).toBeUndefined()
  expect(addressRange(at('10.0.0.9'), at('::1'))).toBeUndefined()
})
