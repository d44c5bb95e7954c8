import { formatNetwork, parseAddress } from '../acl/network.ts'

export interface AddressVars {
  /**
   * Where a client's address comes from: the header that the platform or the proxy in front sets, and lets nobody else set; or `peer`, on
   * stand-alone workerd without a proxy, for whoever holds the other end of the connection.
   */
  readonly ADDRESS_HEADER?: string
}

/** A value of ADDRESS_HEADER that is no header: the other end of the connection itself, as stand-alone workerd tells it. */
const PEER = 'peer'

/**
 * The client's address: from the one source that the deployment names, and from no other. `undefined` where it is not known; then rules
 * that let an address in do not hold, and those that keep one out do.
 */
export function addressOf(request: Request, { ADDRESS_HEADER }: AddressVars): string | undefined {
  if (!ADDRESS_HEADER) return undefined
  const text = ADDRESS_HEADER === PEER ? peerOf(request) : request.headers.get(ADDRESS_HEADER)?.trim()
  return text !== undefined && parseAddress(text) ? text : undefined
}

/**
 * `request.cf` of stand-alone workerd is `{ clientIp: '127.0.0.1:36124' }` or `'[::1]:36124'`. It comes from the socket, and no header of a
 * request gets into it, since our configuration names no `cfBlobHeader`. On Windows workerd does not tell it; on Cloudflare there is
 * `cf-connecting-ip` instead.
 */
function peerOf(request: Request): string | undefined {
  const peer = (request as { readonly cf?: { readonly clientIp?: unknown } }).cf?.clientIp
  if (typeof peer !== 'string') return undefined
  return peer.slice(0, peer.lastIndexOf(':')).replace(/^\[(.*)\]$/, '$1')
}

/** A network's customer has a /64 of IPv6 at least, so that counts as one address. */
const CUSTOMER_BITS = 64n

/** By what connections of an address are counted. Those whose address is not known count as one: a limit that cannot be told is kept. */
export function addressKey(address: string | undefined): string {
  const parsed = address === undefined ? undefined : parseAddress(address)
  if (!parsed || parsed.family === 0) return 'unknown'
  const { family, value } = parsed
  if (family === 4) return formatNetwork({ family, first: value, bits: 32 })
  return formatNetwork({ family, first: (value >> CUSTOMER_BITS) << CUSTOMER_BITS, bits: Number(CUSTOMER_BITS) })
}
