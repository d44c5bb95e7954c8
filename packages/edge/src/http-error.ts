import { ERRORS, type Fault } from '@messkit/sdk/protocol'

/** A failure where HTTP is spoken: `data` of the JSON-RPC error, under its own status. */
export function httpError({ code, message }: Fault, headers: Record<string, string> = {}): Response {
  const { http, retryable } = ERRORS[code]
  return Response.json(
    { error: { code, message, retryable } },
    { status: http, headers: { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff', ...headers } },
  )
}
