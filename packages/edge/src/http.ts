import { type Fault, fault } from '@messkit/sdk/protocol'
import * as v from 'valibot'
import { PolicyError } from './acl/errors.ts'
import { httpError } from './http-error.ts'

/** A field that is not known has the name that it was sent with. */
const PATH_CHARS = 100

/** The longest body that is read: a policy as large as may be, written as JSON. */
const BODY_BYTES = 8 * 1024 * 1024

/** Reads no further than the bound, whatever the headers say. @throws {BodyFault} */
export async function readJson(request: Request, maxBytes = BODY_BYTES): Promise<unknown> {
  const parts: Uint8Array[] = []
  let bytes = 0
  for await (const part of request.body ?? []) {
    bytes += part.byteLength
    if (bytes > maxBytes) throw new BodyFault(fault('frame_too_large', `a body may have ${maxBytes} bytes here`))
    parts.push(part)
  }
  try {
    return JSON.parse(
      new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(await new Blob(parts).arrayBuffer()),
    )
  } catch {
    throw new BodyFault(fault('bad_params', 'the body is not JSON'))
  }
}

class BodyFault extends Error {
  readonly fault: Fault

  constructor(reason: Fault) {
    super(reason.message)
    this.fault = reason
  }
}

/** What came of it as a response, text as it is; a body that is no good and a policy with mistakes are answers, too. */
export async function answered(work: () => Promise<object | string | Fault>): Promise<Response> {
  try {
    const made = await work()
    if (typeof made === 'string') return new Response(made, { headers: { ...HEADERS, 'content-type': PLAIN } })
    return isFault(made) ? httpError(made) : json(made)
  } catch (error) {
    if (error instanceof PolicyError) {
      const { kind, line, problems } = error
      return json(
        { error: { code: 'policy_invalid', message: error.message, retryable: false, kind, line, problems } },
        422,
      )
    }
    if (error instanceof BodyFault) return httpError(error.fault)
    if (v.isValiError(error)) return httpError(paramsFault(error.issues[0]))
    throw error
  }
}

/** Names the field and never echoes its value. */
function paramsFault(issue: v.BaseIssue<unknown>): Fault {
  const path = v.getDotPath(issue)?.slice(0, PATH_CHARS)
  return fault('bad_params', path ? `${path}: missing, unknown, of another type or out of its bounds` : undefined)
}

export const isFault = (made: object): made is Fault => 'code' in made

const HEADERS = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' }
/** With the version of what monitoring reads. */
const PLAIN = 'text/plain; version=0.0.4; charset=utf-8'

const json = (body: object, status = 200): Response => Response.json(body, { status, headers: HEADERS })
