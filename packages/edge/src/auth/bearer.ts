import { type Fault, fault, LIMITS, PROTOCOL } from '@messkit/sdk/protocol'
import { base64url } from 'jose'

/**
 * The token in an upgrade's sub-protocols, `messkit.1, bearer.<base64url of the token>`: the one header that a browser lets a page
 * choose. A URL would end up in logs.
 */
export function readBearer(protocols: readonly string[]): { token: string } | Fault {
  const offers = protocols.filter((protocol) => protocol.startsWith(PROTOCOL.bearer))
  const text = offers[0]?.slice(PROTOCOL.bearer.length) ?? ''
  if (text === '') return fault('token_missing')
  if (offers.length > 1) return fault('token_invalid', 'two tokens were offered')
  if (text.length > ENCODED_CHARS) return fault('token_too_large')
  try {
    return { token: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(base64url.decode(text)) }
  } catch {
    return fault('token_invalid', 'the sub-protocol is not base64url of a token')
  }
}

/** The token of a request that is no upgrade. */
export function readAuthorization(header: string | null): { token: string } | Fault {
  const [scheme, token, ...rest] = (header ?? '').split(' ')
  if (scheme === '' || scheme === undefined) return fault('token_missing')
  if (scheme.toLowerCase() !== 'bearer' || token === undefined || rest.length > 0) return fault('token_invalid')
  return { token }
}

const ENCODED_CHARS = Math.ceil((LIMITS.tokenBytes * 4) / 3)

/** The values of a `Sec-WebSocket-Protocol` header. */
export function readProtocols(header: string | null): string[] {
  return (header ?? '').split(',').map((text) => text.trim())
}
