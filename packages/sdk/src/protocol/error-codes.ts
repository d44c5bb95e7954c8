/**
 * Every failure that can cross a link or reach a caller. `number` is the JSON-RPC code; `retryable` says whether the
 * same call may succeed later unchanged; `http` is the status where HTTP is spoken; `close` is the WebSocket close code
 * where the failure ends the link: 4000–4499 mean "reconnect", 4500–4999 "do not".
 */
export interface ErrorFacts {
  readonly number: number
  readonly meaning: string
  readonly retryable: boolean
  readonly http: number
  readonly close?: number
}

export const ERRORS = {
  // The frame
  bad_json: { number: -32700, meaning: 'The frame is not JSON', retryable: false, http: 400 },
  bad_frame: {
    number: -32600,
    meaning: 'The frame is not a JSON-RPC 2.0 request, or its payloads do not stand one per line',
    retryable: false,
    http: 400,
  },
  unknown_method: { number: -32601, meaning: 'The method is not known to this version', retryable: false, http: 404 },
  bad_params: {
    number: -32602,
    meaning: 'A field is missing, mistyped or out of its bounds',
    retryable: false,
    http: 400,
  },
  internal: {
    number: -32603,
    meaning: 'The server failed; the failure is its own',
    retryable: true,
    http: 500,
    close: 4011,
  },
  frame_too_large: {
    number: 1001,
    meaning: 'The frame is larger than frameBytes',
    retryable: false,
    http: 413,
    close: 4513,
  },
  hello_needed: {
    number: 1002,
    meaning: 'The first frame of a link is hello',
    retryable: false,
    http: 400,
    close: 4502,
  },
  version_unsupported: {
    number: 1003,
    meaning: 'Client and server share no protocol version',
    retryable: false,
    http: 426,
    close: 4500,
  },
  too_many_faults: {
    number: 1004,
    meaning: 'The link sent too many frames that were not understood',
    retryable: false,
    http: 429,
    close: 4504,
  },
  upgrade_needed: {
    number: 1005,
    meaning: 'This address speaks WebSocket with the sub-protocol messkit.1',
    retryable: false,
    http: 426,
  },
  not_found: { number: 1006, meaning: 'There is nothing at this address', retryable: false, http: 404 },

  // What is named
  bad_name: {
    number: 1101,
    meaning: 'The topic name breaks the rules for names',
    retryable: false,
    http: 400,
    close: 4520,
  },
  bad_cursor: { number: 1102, meaning: 'The cursor is not one that this system made', retryable: false, http: 400 },
  wrong_topic: {
    number: 1103,
    meaning: 'The request names a topic that this link does not serve',
    retryable: false,
    http: 400,
  },
  subscription_exists: {
    number: 1104,
    meaning: 'The link has a subscription of this number already',
    retryable: false,
    http: 409,
  },
  unknown_subscription: {
    number: 1105,
    meaning: 'The link has no subscription of this number',
    retryable: false,
    http: 404,
  },
  too_many_subscriptions: {
    number: 1106,
    meaning: 'The link has subscriptionsPerLink subscriptions already, or as many as the policy allows',
    retryable: false,
    http: 429,
  },
  too_many_links: {
    number: 1107,
    meaning: 'The topic has linksPerTopic links already',
    retryable: true,
    http: 503,
    close: 4009,
  },
  wrong_queue: {
    number: 1108,
    meaning: 'The request names a queue that this link does not serve',
    retryable: false,
    http: 400,
  },
  too_many_workers: {
    number: 1109,
    meaning: 'The link has workersPerLink workers already',
    retryable: false,
    http: 429,
  },

  // Messages
  message_too_large: {
    number: 1201,
    meaning: 'The payload is larger than messageBytes, or than the policy allows',
    retryable: false,
    http: 413,
  },
  too_deep: { number: 1202, meaning: 'The payload is nested deeper than payloadDepth', retryable: false, http: 400 },
  bad_payload: {
    number: 1203,
    meaning: 'The payload is not JSON, or holds what JSON cannot carry unharmed',
    retryable: false,
    http: 400,
  },
  sequence_gap: {
    number: 1204,
    meaning: 'An earlier message of this publisher is missing; recompute and send again',
    retryable: true,
    http: 409,
  },
  publisher_expired: {
    number: 1205,
    meaning: 'The publisher is no longer known, so a repeat could not be recognised; nothing was stored',
    retryable: false,
    http: 410,
  },
  busy: {
    number: 1206,
    meaning: 'More is waiting, or was sent without credit, than a bound allows; try again',
    retryable: true,
    http: 503,
  },
  store_full: { number: 1207, meaning: 'The store has no room left', retryable: true, http: 507, close: 4007 },
  commit_failed: {
    number: 1208,
    meaning: 'The store did not take the commit; what was not acked must be sent again',
    retryable: true,
    http: 503,
    close: 4008,
  },

  limit_reached: {
    number: 1209,
    meaning: 'The user has as much of it as the policy allows; try again later',
    retryable: true,
    http: 429,
    close: 4012,
  },
  bad_schedule: {
    number: 1220,
    meaning: 'The schedule cannot be kept; the message says why',
    retryable: false,
    http: 422,
  },
  unknown_schedule: { number: 1221, meaning: 'The queue has no schedule of this id', retryable: false, http: 404 },
  too_many_schedules: {
    number: 1222,
    meaning: 'The queue has schedulesPerQueue schedules already',
    retryable: false,
    http: 429,
  },

  // Who
  token_missing: { number: 1301, meaning: 'A token is needed', retryable: false, http: 401, close: 4510 },
  token_invalid: {
    number: 1302,
    meaning: 'The token is malformed, or not signed by a key, issuer or for an audience that counts here',
    retryable: false,
    http: 401,
    close: 4511,
  },
  token_expired: {
    number: 1303,
    meaning: 'The token has expired; get a new one',
    retryable: true,
    http: 401,
    close: 4401,
  },
  token_not_yet_valid: { number: 1304, meaning: 'The token is not valid yet', retryable: true, http: 401, close: 4402 },
  token_too_large: {
    number: 1305,
    meaning: 'The token is larger than tokenBytes',
    retryable: false,
    http: 431,
    close: 4514,
  },
  keys_unavailable: {
    number: 1306,
    meaning: 'The keys that check tokens could not be fetched',
    retryable: true,
    http: 503,
    close: 4006,
  },
  user_mismatch: {
    number: 1307,
    meaning: 'The token belongs to another user than the link or the client',
    retryable: false,
    http: 403,
    close: 4512,
  },
  forbidden_origin: {
    number: 1308,
    meaning: 'Pages of this origin may not connect',
    retryable: false,
    http: 403,
    close: 4515,
  },
  forbidden: { number: 1309, meaning: 'The user may not do this here', retryable: false, http: 403, close: 4516 },
  access_changed: {
    number: 1310,
    meaning: 'What the user may do here has changed; connect anew',
    retryable: true,
    http: 403,
    close: 4403,
  },
  policy_unavailable: {
    number: 1311,
    meaning: 'The newest policy could not be learned, and the known one is too old to go by',
    retryable: true,
    http: 503,
    close: 4010,
  },
  policy_invalid: {
    number: 1312,
    meaning: 'The policy has mistakes; nothing was changed',
    retryable: false,
    http: 422,
  },
  version_conflict: {
    number: 1313,
    meaning: 'Somebody else has changed it meanwhile; read it again',
    retryable: false,
    http: 409,
  },
  not_held: {
    number: 1314,
    meaning: 'Nobody gives to others what they do not hold, or takes from themselves what nobody could give back',
    retryable: false,
    http: 409,
  },
  kicked: {
    number: 1315,
    meaning: 'An administrator ended the link; whoever still may comes back',
    retryable: true,
    http: 403,
    close: 4405,
  },

  // On this side only; these never travel
  closed: {
    number: 1401,
    meaning: 'The client was closed; what is unacked stays in the outbox',
    retryable: false,
    http: 499,
  },
  stopped: { number: 1402, meaning: 'The subscription was stopped', retryable: false, http: 499 },
  not_acked_yet: {
    number: 1403,
    meaning: 'The wait for the ack ended; the message stays in the outbox',
    retryable: true,
    http: 504,
  },
  outbox_full: { number: 1404, meaning: 'The outbox holds outboxMessages or outboxBytes', retryable: true, http: 507 },
  storage_lost: {
    number: 1405,
    meaning: 'The browser took the storage away or did not answer',
    retryable: true,
    http: 507,
  },
  schema_mismatch: {
    number: 1406,
    meaning: 'The data does not fit the schema of the topic',
    retryable: false,
    http: 422,
  },
  async_schema: {
    number: 1407,
    meaning: 'The schema answers asynchronously, which a topic cannot wait for',
    retryable: false,
    http: 422,
  },
  handler_failed: { number: 1408, meaning: 'A handler or a hook threw', retryable: false, http: 500 },
  gap: {
    number: 1409,
    meaning: 'Messages between two offsets are not available any more',
    retryable: false,
    http: 410,
  },
  token_unavailable: { number: 1410, meaning: 'The token callback failed', retryable: true, http: 401 },
  link_lost: { number: 1411, meaning: 'The connection ended before the answer came', retryable: true, http: 503 },
  unsent: {
    number: 1414,
    meaning: 'The outbox still holds messages, which would be lost',
    retryable: true,
    http: 409,
  },
  resume_in_use: { number: 1412, meaning: 'Another subscription resumes by this name', retryable: true, http: 409 },
  enqueue_refused: {
    number: 1454,
    meaning: 'The hook `beforeEnqueue` refused the job; nothing was stored',
    retryable: false,
    http: 422,
  },
  lease_lost: {
    number: 1420,
    meaning: 'The job is not this worker’s any more; somebody else may have it',
    retryable: false,
    http: 409,
  },
  job_dead: {
    number: 1450,
    meaning: 'The job was set aside: its attempts are used up, or none of them would help',
    retryable: false,
    http: 424,
  },
  job_expired: { number: 1451, meaning: 'The job was not begun within its ttlMs', retryable: false, http: 424 },
  job_cancelled: { number: 1452, meaning: 'The job was cancelled', retryable: false, http: 410 },
  job_unknown: {
    number: 1453,
    meaning: 'What became of the job is not known: it was not retained, or not for so long, or it never was',
    retryable: false,
    http: 404,
  },
  bad_option: {
    number: 1413,
    meaning: 'An option is missing, mistyped or out of its bounds',
    retryable: false,
    http: 400,
  },
  cipher_unknown_key: {
    number: 1415,
    meaning: 'The message is sealed with a key that is not here',
    retryable: false,
    http: 422,
  },
  cipher_failed: {
    number: 1416,
    meaning: 'The message could not be sealed, or does not open: it was changed or moved, or the key is another one',
    retryable: false,
    http: 422,
  },
  cipher_replayed: {
    number: 1417,
    meaning: 'The sealed message was delivered before, at another offset',
    retryable: false,
    http: 409,
  },
  cipher_plaintext: {
    number: 1418,
    meaning: 'The message was not sealed, and the topic has a cipher',
    retryable: false,
    http: 422,
  },
  cipher_exhausted: {
    number: 1419,
    meaning: 'The key has sealed as many messages as it may; rotate it',
    retryable: false,
    http: 422,
  },
} as const satisfies Record<string, ErrorFacts>

export type ErrorCode = keyof typeof ERRORS

/** `data` of a JSON-RPC error. */
export interface Fault {
  readonly code: ErrorCode
  /** What failed and what to do; no payload, token or input text in it. */
  readonly message: string
  readonly retryAfterMs?: number
}

export const fault = (code: ErrorCode, message: string = ERRORS[code].meaning): Fault => ({ code, message })
