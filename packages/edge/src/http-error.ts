import { ERRORS, type Fault } from '@messkit/sdk/protocol'

/** A failure where HTTP is spoken: `data` of the JSON-RPC error, under its own status. */
export function httpError({ code, message, retryAfterMs }: Fault, headers: Record<string, string> = {}): Response {
  const { http, retryable } = ERRORS[code]
  return Response.json(
    { error: { code, message, retryable, ...(retryAfterMs !== undefined && { retryAfterMs }) } },
    {
      status: http,
      headers: {
        'cache-control': 'no-store',
        'x-content-type-options': 'nosniff',
        ...(retryAfterMs !== undefined && { 'retry-after': String(Math.ceil(retryAfterMs / 1_000)) }),
        ...headers,
      },
    },
  )
}
