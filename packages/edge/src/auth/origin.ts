import { type Fault, fault } from '@messkit/sdk/protocol'

/**
 * May a page of this origin connect? Browsers put no limits on whom a page may open a WebSocket to, so the server looks itself. Exact
 * comparison only: no wildcards, no suffixes. Without the header it is no browser, and the token alone decides.
 * @param origin the request's `Origin` header
 * @param own the origin under which the Worker itself was asked
 * @param allowed ALLOWED_ORIGINS, separated by commas
 */
export function mayConnect(origin: string | null, { own, allowed = '' }: { own: string; allowed?: string }): boolean {
  if (origin === null) return true
  // Sandboxed frames, files and redirects all say "null"; it names nobody, even if a list should contain it.
  if (origin === 'null') return false
  return origin === own || listed(allowed).includes(origin)
}

/** Why nobody is let in who asks from there. */
export function originFault(request: Request, allowed = ''): Fault | undefined {
  const own = URL.parse(request.url)?.origin
  // The Host header is part of the address, and anybody may write anything there.
  if (own === undefined) return fault('not_found')
  return mayConnect(request.headers.get('origin'), { own, allowed }) ? undefined : fault('forbidden_origin')
}

/** A trailing slash or capitals in the deployment's list are forgiven; a browser never sends them. */
function listed(allowed: string): string[] {
  return allowed.split(',').flatMap((text) => {
    const url = URL.parse(text.trim())
    return url && url.origin !== 'null' ? [url.origin] : []
  })
}
