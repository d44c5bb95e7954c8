import { parseAddress } from '../acl/network.ts'
import type { Env } from '../env.ts'

/**
 * The client's address: from the one header that the deployment says is set by the platform or the proxy in front, and by nobody else.
 * `undefined` where it is not known; then rules that let an address in do not hold, and those that keep one out do.
 */
export function addressOf(request: Request, { ADDRESS_HEADER }: Pick<Env, 'ADDRESS_HEADER'>): string | undefined {
  const text = ADDRESS_HEADER ? request.headers.get(ADDRESS_HEADER)?.trim() : undefined
  return text !== undefined && parseAddress(text) ? text : undefined
}
