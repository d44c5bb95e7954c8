import type { ErrorCode } from '@messkit/sdk/protocol'

/** What can become of hostile input. A close code of ours follows from the error code. */
export type Answer =
  /** Plain HTTP. */
  | { readonly status: number; readonly error?: ErrorCode }
  /** The socket opens, says this one error, and closes with its close code; no object is woken or made. */
  | { readonly turnedAway: ErrorCode }
  /** The socket opens and works. */
  | { readonly opens: true }
  /** An error under the frame's `id`; the link goes on. */
  | { readonly error: ErrorCode }
  /** The link is told, and closed with the close code of the error. */
  | { readonly closed: ErrorCode }
  /** The fate of the message, and of it alone. */
  | { readonly refused: ErrorCode }
  /** Understood and answered: it does no harm. */
  | { readonly taken: true }
  /** Nothing is said, and nothing happens. */
  | { readonly ignored: true }
  /** A Close frame with this code. */
  | { readonly closeCode: number }
  /** The connection ends. */
  | { readonly ended: true }

interface Rule {
  readonly when: string
  readonly answer: Answer
}

const rule = (when: string, answer: Answer): Rule => ({ when, answer })

/**
 * What is answered to what: the one table behind the corpus and its page in the documentation. Every case names its rule, so none can
 * expect what is not written there; every rule has a case.
 */
export const RULES = {
  'HTTP requests': {
    health: rule('`GET` or `HEAD /health`, whatever stands behind `?` and in headers', { status: 200 }),
    nowhere: rule('Any other address, another spelling of one, another method on `/health`, a `Host` that is none', {
      status: 404,
      error: 'not_found',
    }),
    noUpgrade: rule(
      'A topic’s or a queue’s address without `Upgrade: websocket`, by another method than `GET`, of another WebSocket version than 13, without a key, or without the sub-protocol `messkit.1`',
      { status: 426, error: 'upgrade_needed' },
    ),
    foreignOrigin: rule(
      'An upgrade by a page of an origin that is neither the server’s own nor listed: compared as a whole and exactly',
      { status: 403, error: 'forbidden_origin' },
    ),
    noCaller: rule('The queues that there are, asked for without a token', { status: 401, error: 'token_missing' }),
    noHttp: rule('¹ What is no HTTP/1.x, or whose headers or lengths are malformed', { status: 400 }),
    unknownVerb: rule('¹ A method that HTTP does not know', { status: 501 }),
    connect: rule('¹ `CONNECT`', { status: 500 }),
    largeHead: rule('¹ More headers than the platform reads', { status: 431 }),
    noWebSocket: rule('¹ An upgrade with neither a key nor a WebSocket version', { status: 426 }),
    ended: rule('¹ The preface of HTTP/2 without TLS; an upgrade by HTTP/1.0', { ended: true }),
  },
  'Opening a link': {
    badName: rule('A topic name that breaks the rules for names, with whatever token', { turnedAway: 'bad_name' }),
    noToken: rule('No token, or an empty one', { turnedAway: 'token_missing' }),
    badToken: rule(
      'A token that is malformed, offered twice, not signed by a key that counts here, of another issuer, audience or algorithm, or without `sub` or `exp`',
      { turnedAway: 'token_invalid' },
    ),
    oldToken: rule('A token whose `exp` has passed', { turnedAway: 'token_expired' }),
    earlyToken: rule('A token whose `nbf` or `iat` lies more than 10 s ahead', { turnedAway: 'token_not_yet_valid' }),
    largeToken: rule('A token over `tokenBytes`', { turnedAway: 'token_too_large' }),
    opens: rule(
      'A good token, with whatever else: unknown headers and sub-protocols, a query, forged identities, offers of compression. None of it reaches the object',
      { opens: true },
    ),
  },
  'Before `hello`': {
    helloNeeded: rule('A request other than `hello`', { closed: 'hello_needed' }),
    otherVersion: rule('A `hello` without a version that is served', { closed: 'version_unsupported' }),
  },
  'Frames, also before `hello`': {
    heartbeat: rule('`messkit:ping`, exactly: `messkit:pong`, at any time', { taken: true }),
    notJson: rule('Text that is not JSON, also a `messkit:ping` with anything around it', { error: 'bad_json' }),
    notFrame: rule(
      'JSON that is no JSON-RPC 2.0 request: another value, a list, no `method`, no object as `params`, an `id` that is no whole number from 0, a request without an `id`; bytes instead of text',
      { error: 'bad_frame' },
    ),
    notLines: rule('A `publish` whose payloads do not stand one per line as its last member; lines in another frame', {
      error: 'bad_frame',
    }),
    unknownMethod: rule('A method that is not known', { error: 'unknown_method' }),
    badParams: rule(
      'A field that is missing, of another type or out of its bounds; numbers that JavaScript does not hold exactly',
      { error: 'bad_params' },
    ),
    badNameInFrame: rule('A `topic` that is no name', { error: 'bad_name' }),
    badCursor: rule('Text as `from` that is no cursor', { error: 'bad_cursor' }),
    largeFrame: rule('A frame over `frameBytes`', { closed: 'frame_too_large' }),
    manyFaults: rule('More than `faultsPerLink` frames of this table that were answered with an error', {
      closed: 'too_many_faults',
    }),
    extras: rule('Unknown fields, fields twice (the last one counts), any order of fields, `__proto__` as a field', {
      taken: true,
    }),
  },
  'Requests that are understood': {
    wrongTopic: rule('The name of another topic than the link’s', { error: 'wrong_topic' }),
    subscriptionTwice: rule('A subscription number that is in use', { error: 'subscription_exists' }),
    unknownSubscription: rule('`unsubscribe` of a number that is not in use', { error: 'unknown_subscription' }),
    manySubscriptions: rule('More than `subscriptionsPerLink` subscriptions', { error: 'too_many_subscriptions' }),
    creditIgnored: rule(
      '`credit` for a number that is not in use, less than was granted, or more than could be handled',
      {
        ignored: true,
      },
    ),
    muchHistory: rule('History over `historyBytes`', { error: 'busy' }),
    muchAbandoned: rule('`subscribe` on a link that has given up subscriptions with over `abandonedBytes` unhandled', {
      error: 'busy',
    }),
    strangeCursor: rule('A cursor of another epoch, or from the future: a `gap` says what is missing', { taken: true }),
    sequenceOrder: rule('`after` that is not below `first`', { error: 'bad_params' }),
    sequenceGap: rule('`after` above the newest stored sequence', { error: 'sequence_gap' }),
    unknownPublisher: rule('`after` above 0 of a publisher that is not known, also of another user’s', {
      error: 'publisher_expired',
    }),
    repeat: rule('A sequence that is stored already, with the same payload or another one: `duplicate`', {
      taken: true,
    }),
    renewBad: rule('`authenticate` with a token that is refused for its form, signature or claims', {
      error: 'token_invalid',
    }),
    renewOld: rule('`authenticate` with an expired token; the old one stays in place', { error: 'token_expired' }),
    renewEarly: rule('`authenticate` with a token for later', { error: 'token_not_yet_valid' }),
    renewLarge: rule('`authenticate` with a token over `tokenBytes`', { error: 'token_too_large' }),
    renewOther: rule('`authenticate` with another user’s token', { error: 'user_mismatch' }),
    expired: rule('Any frame once the link’s token has expired', { closed: 'token_expired' }),
    again: rule('A second `hello`, the same `id` twice', { taken: true }),
  },
  'Payloads of a `publish`': {
    badPayload: rule('A line that is not one JSON value, or holds half of a surrogate pair', {
      refused: 'bad_payload',
    }),
    deepPayload: rule('A payload nested deeper than `payloadDepth`', { refused: 'too_deep' }),
    largePayload: rule('A payload over `messageBytes`', { refused: 'message_too_large' }),
    oddPayload: rule(
      'Any other JSON: `__proto__` and `constructor` as keys, keys twice, large numbers, empty texts, bidirectional and zero characters. Stored and delivered as it was written',
      { taken: true },
    ),
  },
  'WebSocket frames': {
    protocolError: rule(
      '¹ Reserved opcodes and bits, a continuation of nothing, a message inside another, control frames in fragments',
      { closeCode: 1002 },
    ),
    tooBig: rule('¹ A frame that declares more than 32 MiB', { closeCode: 1009 }),
    closing: rule('A Close with any code and reason, also 0, 999, 1005, 65535, one byte, text that is not UTF-8', {
      closeCode: 1000,
    }),
    tolerated: rule(
      '¹ Frames without a mask, lengths in a longer form, thousands of empty fragments, pings over 125 bytes, text that is not UTF-8 (read as U+FFFD)',
      { taken: true },
    ),
    unfinished: rule('A frame or message that never ends, `Pong` frames, anything behind a Close', { ignored: true }),
  },
} as const satisfies Record<string, Record<string, Rule>>

type Groups = typeof RULES
export type RuleName = { [G in keyof Groups]: keyof Groups[G] }[keyof Groups] & string

const BY_NAME = new Map<string, Rule>(Object.values(RULES).flatMap((rules) => Object.entries(rules)))
export const RULE_NAMES = [...BY_NAME.keys()] as RuleName[]

export function answerOf(name: RuleName): Answer {
  return (BY_NAME.get(name) as Rule).answer
}

/** An answer as it is compared, counted and shown. */
export function tell(answer: Answer): string {
  const [[kind, value] = ['', '']] = Object.entries(answer)
  if ('status' in answer) return `HTTP ${answer.status}${answer.error ? ` ${answer.error}` : ''}`
  return value === true ? kind : `${kind} ${value}`
}
