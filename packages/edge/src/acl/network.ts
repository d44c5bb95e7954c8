/** An address by value: `::ffff:10.0.0.1` is the IPv4 address 10.0.0.1. `NOWHERE` stands for text that is no address. */
export interface Address {
  readonly family: 4 | 6 | 0
  readonly value: bigint
}

/** A network of one family, or everywhere. `bits` is the length of its prefix; `first` has zeros behind it. */
export type Network = { readonly family: 4 | 6; readonly first: bigint; readonly bits: number } | typeof EVERYWHERE

export interface AddressRange {
  readonly family: 4 | 6
  readonly first: bigint
  readonly last: bigint
}

export const EVERYWHERE = 'everywhere'
export const NOWHERE: Address = { family: 0, value: 0n }

const WIDTH = { 4: 32, 6: 128 } as const
const MAPPED = 0xffffn
const LONGEST = 45

/** An IPv4 or IPv6 address without zone and brackets; `undefined` if it is none. */
export function parseAddress(text: string): Address | undefined {
  if (text.length > LONGEST) return undefined
  return text.includes(':') ? parseV6(text) : parseV4(text)
}

/** `10.0.0.1`, `10.0.0.0/8`, `10.0.0.0/255.0.0.0`, `10.1.*`, `*`, `2001:db8::/32`. What stands behind the prefix is masked off. */
export function parseNetwork(text: string): Network | undefined {
  if (text === '*') return EVERYWHERE
  if (text.endsWith('.*')) return parseWildcard(text.slice(0, -2))
  const slash = text.indexOf('/')
  const address = parseAddress(slash < 0 ? text : text.slice(0, slash))
  if (!address || address.family === 0) return undefined
  const bits = slash < 0 ? WIDTH[address.family] : prefixBits(text.slice(slash + 1), text.slice(0, slash), address)
  return bits === undefined ? undefined : networkOf(address.family, address.value, bits)
}

export function inNetwork({ family, value }: Address, network: Network): boolean {
  if (network === EVERYWHERE) return true
  return family === network.family && mask(family, value, network.bits) === network.first
}

export function networkWithin(inner: Network, outer: Network): boolean {
  if (outer === EVERYWHERE) return true
  if (inner === EVERYWHERE) return false
  return inner.bits >= outer.bits && inNetwork({ family: inner.family, value: inner.first }, outer)
}

export function formatNetwork(network: Network): string {
  if (network === EVERYWHERE) return '*'
  const { family, first, bits } = network
  return bits === WIDTH[family] ? formatAddress(family, first) : `${formatAddress(family, first)}/${bits}`
}

/** One family, rising order; `undefined` otherwise. */
export function addressRange(first: Address, last: Address): AddressRange | undefined {
  if (first.family === 0 || first.family !== last.family || first.value > last.value) return undefined
  return { family: first.family, first: first.value, last: last.value }
}

export function inRange({ family, value }: Address, range: AddressRange): boolean {
  return family === range.family && value >= range.first && value <= range.last
}

function parseV4(text: string): Address | undefined {
  const parts = text.split('.')
  if (parts.length !== 4) return undefined
  let value = 0n
  for (const part of parts) {
    const octet = octetOf(part)
    if (octet === undefined) return undefined
    value = (value << 8n) | BigInt(octet)
  }
  return { family: 4, value }
}

/** No leading zeros: some readers take 010 for eight, and two readers of one address are a hole. */
function octetOf(text: string): number | undefined {
  if (text.length < 1 || text.length > 3 || (text.length > 1 && text.startsWith('0'))) return undefined
  const octet = digits(text)
  return octet !== undefined && octet <= 255 ? octet : undefined
}

function digits(text: string): number | undefined {
  let value = 0
  for (const char of text) {
    if (char < '0' || char > '9') return undefined
    value = value * 10 + Number(char)
  }
  return text === '' ? undefined : value
}

function parseV6(text: string): Address | undefined {
  const halves = text.split('::')
  if (halves.length > 2) return undefined
  const head = wordsOf(halves[0] as string, halves.length === 1)
  const tail = halves.length === 2 ? wordsOf(halves[1] as string, true) : []
  if (!head || !tail) return undefined
  const missing = 8 - head.length - tail.length
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined
  let value = 0n
  for (const word of [...head, ...Array<number>(missing).fill(0), ...tail]) value = (value << 16n) | BigInt(word)
  return value >> 32n === MAPPED ? { family: 4, value: value & 0xffffffffn } : { family: 6, value }
}

/** The last part may be an IPv4 address, where it is the end of the whole. */
function wordsOf(text: string, isEnd: boolean): number[] | undefined {
  if (text === '') return []
  const words: number[] = []
  const parts = text.split(':')
  for (const [index, part] of parts.entries()) {
    if (part.includes('.') && isEnd && index === parts.length - 1) {
      const inner = parseV4(part)
      if (!inner) return undefined
      words.push(Number(inner.value >> 16n), Number(inner.value & 0xffffn))
    } else {
      const word = wordOf(part)
      if (word === undefined) return undefined
      words.push(word)
    }
  }
  return words
}

function wordOf(text: string): number | undefined {
  if (text.length < 1 || text.length > 4) return undefined
  for (const char of text) {
    if (!HEX.includes(char)) return undefined
  }
  return Number.parseInt(text, 16)
}

const HEX = '0123456789abcdefABCDEF'

/** `10.1` of `10.1.*`. */
function parseWildcard(text: string): Network | undefined {
  const parts = text.split('.')
  if (parts.length > 3) return undefined
  const address = parseV4([...parts, '0', '0', '0'].slice(0, 4).join('.'))
  return address && networkOf(4, address.value, parts.length * 8)
}

function prefixBits(text: string, base: string, { family }: Address): number | undefined {
  if (text.includes('.')) return family === 4 ? maskBits(text) : undefined
  if (text.length > 3 || (text.length > 1 && text.startsWith('0'))) return undefined
  const bits = digits(text)
  // A mapped address is written with the 128 bits of IPv6; its network is one of IPv4 from bit 96 on.
  const shift = family === 4 && base.includes(':') ? 96 : 0
  if (bits === undefined || bits < shift || family === 0) return undefined
  return bits - shift <= WIDTH[family] ? bits - shift : undefined
}

/** `255.255.0.0` is 16. A mask with holes is none. */
function maskBits(text: string): number | undefined {
  const parsed = parseV4(text)
  if (!parsed) return undefined
  for (let bits = 0; bits <= 32; bits++) if (mask(4, 0xffffffffn, bits) === parsed.value) return bits
  return undefined
}

function networkOf(family: 4 | 6, value: bigint, bits: number): Network {
  return { family, first: mask(family, value, bits), bits }
}

function mask(family: 4 | 6, value: bigint, bits: number): bigint {
  const behind = BigInt(WIDTH[family] - bits)
  return (value >> behind) << behind
}

function formatAddress(family: 4 | 6, value: bigint): string {
  const width = family === 4 ? 8n : 16n
  const count = family === 4 ? 4 : 8
  const parts = Array.from(
    { length: count },
    (_, i) => (value >> (BigInt(count - 1 - i) * width)) & ((1n << width) - 1n),
  )
  return parts.map((part) => part.toString(family === 4 ? 10 : 16)).join(family === 4 ? '.' : ':')
}
