import { expect, test } from 'vitest'
import { addressKey, addressOf } from './address.ts'

const request = (headers: Record<string, string>, cf?: object): Request =>
  Object.assign(new Request('https://mess.test/', { headers }), { cf }) as Request

test('an address comes from the one header that the deployment names', () => {
  const forged = { 'x-forwarded-for': '6.6.6.6', forwarded: 'for=6.6.6.6', 'cf-connecting-ip': ' 10.0.0.1 ' }

  expect(addressOf(request(forged), { ADDRESS_HEADER: 'cf-connecting-ip' })).toBe('10.0.0.1')
  expect(addressOf(request(forged), { ADDRESS_HEADER: 'x-real-ip' })).toBeUndefined()
  expect(addressOf(request(forged, { clientIp: '10.0.0.1:80' }), {})).toBeUndefined()
  expect(addressOf(request(forged, { clientIp: '10.0.0.1:80' }), { ADDRESS_HEADER: '' })).toBeUndefined()
})

test.each(['10.0.0.1, 6.6.6.6', 'localhost', '', '10.0.0.01', '[::1]', '::1%eth0', '10.0.0.1:80'])(
  'a header that says %j says nothing',
  (text) => {
    expect(addressOf(request({ 'x-real-ip': text }), { ADDRESS_HEADER: 'x-real-ip' })).toBeUndefined()
  },
)

test.each([
  ['127.0.0.1:36124', '127.0.0.1'],
  ['[::1]:45930', '::1'],
  ['[::ffff:127.0.0.1]:44616', '::ffff:127.0.0.1'],
  ['unix:/tmp/socket', undefined],
  ['', undefined],
  [undefined, undefined],
  [7, undefined],
])('the peer %j is %j, whatever headers say', (clientIp, address) => {
  const headers = { peer: '6.6.6.6', 'cf-connecting-ip': '6.6.6.6' }

  expect(addressOf(request(headers, { clientIp }), { ADDRESS_HEADER: 'peer' })).toBe(address)
  expect(addressOf(request(headers), { ADDRESS_HEADER: 'peer' })).toBeUndefined()
})

test.each([
  ['10.0.0.1', '10.0.0.1'],
  ['::ffff:10.0.0.1', '10.0.0.1'],
  ['::ffff:a00:1', '10.0.0.1'],
  ['2001:db8:1:2:3:4:5:6', addressKey('2001:db8:1:2::9')],
  [undefined, 'unknown'],
])('connections from %j are counted under %j', (address, key) => {
  expect(addressKey(address)).toBe(key)
})

test('networks of 64 bits are told apart', () => {
  expect(addressKey('2001:db8:1:2::1')).not.toBe(addressKey('2001:db8:1:3::1'))
  expect(addressKey('::1')).not.toBe(addressKey('0.0.0.1'))
})
