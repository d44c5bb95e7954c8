// The tables of docs/reference/errors.md: facts from the source, and what to do, which stands here.
import { ERRORS } from '../packages/sdk/src/protocol/error-codes.ts'
import { assertSame, table } from './docs-source.mjs'

const GROUPS = [
  {
    title: 'In your code',
    intro: 'Thrown by the call, or told by `onError`, `onGap`, an `error` event or a promise.',
    codes: {
      bad_option: 'Correct the option that the message names.',
      bad_name:
        'Use 1 to 8 levels joined by `/`, each of `A-Z a-z 0-9 _ - .`; no level is `.` or `..`; the first does not begin with `_`.',
      bad_cursor:
        'Pass a cursor as it came from a message, an ack or a page. Cursors are opaque: do not build or cut them.',
      bad_payload: 'Send a JSON value. The message names the place: `data.when is a Map, which JSON cannot hold`.',
      too_deep: 'Flatten the payload, or look for a value that contains itself.',
      message_too_large: 'Split it, or store the large part elsewhere and publish its address.',
      schema_mismatch:
        'When publishing: correct the data; `issues` has the reasons. When reading: the data was stored by somebody with another schema; `onError` gets it raw.',
      async_schema: 'Use a schema that answers at once; do what has to wait in the handler.',
      lease_lost:
        'The reason of a job’s `signal`. Stop working on it; where handlers take longer than `leaseMs`, raise it or call `job.extend()`.',
      job_dead: 'The message has the last error. See `dead()`; `redrive()` when its cause is gone.',
      job_expired: 'Give it a longer `ttlMs`, or the queue more workers.',
      job_cancelled: 'Nothing: somebody did not want it any more. The message has the reason that was given.',
      job_unknown: 'Give jobs whose result is asked for later a `retain`.',
      enqueue_refused: 'See `cause`. It is for your `beforeEnqueue` to say what may be enqueued.',
      handler_failed: 'See `cause`. Give `onError` to choose between `skip`, `stop` and `{ retryInMs }`.',
      gap: 'Load the state from where you keep it, then go on: pass `onGap`, or subscribe anew from `start`.',
      unsent: "Wait until `status.unsent` is 0 and nothing is refused, or call `forget({ unsent: 'discard' })`.",
      resume_in_use: 'One subscription per name at a time, over all tabs. Stop the other one, or choose another name.',
      stopped: 'Nothing: you stopped the subscription before it had started.',
      closed: 'Make a new client. What was on disk is still there.',
      not_acked_yet:
        'Nothing: the message stays in the outbox and is sent. The same receipt does not resolve any more; the message arrives.',
      outbox_full: 'Wait for acks, or retry or discard what was refused.',
    },
  },
  {
    title: 'Storage',
    intro: 'Of the browser, or of the topic’s home.',
    codes: {
      storage_lost:
        'Tell the person that what they write now does not survive closing the page. Loading the page anew may help.',
      store_full:
        'In a browser: free space or ask for persistent storage; what was stored before is intact. On a server: lower `RETENTION`, or spread over more topics.',
      commit_failed:
        'Nothing: clients reconnect and send again what was not acked. If it lasts, look at the server’s log.',
    },
  },
  {
    title: 'Messages that the home does not take',
    intro: 'A refused message is set aside in the outbox with one of these; the receipt rejects with a `RefusedError`.',
    codes: {
      sequence_gap:
        'The SDK recomputes and sends again. If a message was set aside with it: the home lost what it had acked, for example after its data was restored from a backup. Check whether the message is there, then retry or discard it.',
      publisher_expired:
        'This client was away for longer than the home remembers publishers. Check whether the message is there, then retry or discard it.',
      busy: 'A publish: the SDK waits and sends again. A subscription: the SDK reconnects and goes on. `history()`: ask again after a moment.',
    },
  },
  {
    title: 'Sealed messages',
    intro:
      'Of topics with a cipher ([end-to-end encryption](../guide/end-to-end-encryption.md)). In reading they come through `onError` with what was stored, else as an `error` event; the position moves on.',
    codes: {
      cipher_unknown_key:
        'Add the key of this id to the keys, then read again from before the message. In publishing: `keyId` must name one of the keys.',
      cipher_failed:
        'In reading, do not trust the message: somebody has changed or moved it, or sealed it with another key under the same id. In publishing, look at `cause`: the cipher threw, or there is no WebCrypto, as in an insecure context.',
      cipher_replayed: 'Nothing: the message was handed out where it came first.',
      cipher_plaintext:
        'Find out who publishes to the topic without its cipher. To take over a topic that holds such messages: `allowPlaintext`.',
      cipher_exhausted: 'Rotate: give everybody another key, then name it in `keyId`.',
    },
  },
  {
    title: 'Who may come in',
    intro: 'Told when a link opens, and to `authenticate`.',
    codes: {
      token_missing: 'Pass `token` to `createMess`.',
      token_invalid: 'Check signature, key, algorithm, `iss`, `aud` and `sub` against the server’s settings.',
      token_expired:
        'The SDK asks the token callback for a new one. If that one is refused, too, `status.connection` is `auth-needed`.',
      token_not_yet_valid: 'Check the clocks; 10 seconds of difference are forgiven.',
      token_too_large: 'Put fewer claims into the token.',
      token_unavailable: 'The token callback threw or did not answer with a text. The SDK asks again later.',
      keys_unavailable: 'The SDK tries again. On the server: check `TOKEN_JWKS_URL`.',
      user_mismatch:
        'Make a client per user: `createMess({ user })` and the token’s `sub` must be equal. A live link can only be renewed for the same issuer and subject.',
      forbidden_origin: 'Add the page’s origin to `ALLOWED_ORIGINS`.',
      forbidden:
        'No rule or grant lets this user do it; ask an administrator, who can ask the server why (`POST /v1/admin/explain`). A topic that does not exist is answered in the same way.',
      access_changed: 'Nothing: the SDK connects anew and goes on with what the user may still do.',
      kicked: 'Nothing: the SDK connects anew with the token at hand, and goes on if the user still may.',
      policy_unavailable: 'Nothing: the SDK connects anew. If it lasts, look at the server’s log.',
      policy_invalid: 'Correct the lines that `problems` names. The policy from before still counts.',
      version_conflict: 'Read the newest version, make the change there, and send it with that `ifVersion`.',
      not_held:
        'Let somebody do it who holds the rights in question. An administrator who is not named in `ADMINS` cannot take `admin` from themselves.',
    },
  },
  {
    title: 'Links and frames',
    intro: 'A well-behaved client sees few of these. They matter to whoever writes one.',
    codes: {
      link_lost: 'Nothing: the SDK reconnects and goes on.',
      bad_json: 'Send one JSON object a frame, as text.',
      bad_frame:
        'Send `"jsonrpc":"2.0"`, a `method`, an object as `params`, an `id` (but for `credit`); payloads one per line, as the last member.',
      unknown_method: 'Ask for a method of this version.',
      bad_params: 'Correct the field that the message names.',
      frame_too_large: 'Send fewer messages a frame.',
      hello_needed: 'Send `hello` first.',
      version_unsupported: 'Update the older side.',
      too_many_faults: 'Correct the client.',
      upgrade_needed: 'Open a WebSocket and offer the sub-protocol.',
      not_found: 'The server has `/health`, `/v1/topics/<name>` and `/v1/queues/<name>`.',
      wrong_topic: 'Name the topic of the link’s address.',
      wrong_queue: 'Name the queue of the link’s address.',
      bad_schedule:
        'Correct what the message names: a pattern, a time zone, a period, or a schedule that would never come.',
      unknown_schedule: 'Look at `schedules.list()`; make it with `schedules.upsert()`.',
      too_many_schedules: 'Remove what is not needed, or use another queue.',
      too_many_workers: 'Share one worker between several handlers, or open another link.',
      subscription_exists: 'Count subscriptions up; never use a number twice on a link.',
      unknown_subscription: 'Unsubscribe once.',
      limit_reached:
        'A publish: the SDK waits and sends again. A connection or a subscription: the SDK tries again; close what is not needed, or ask for a higher limit. The message names it.',
      too_many_subscriptions: 'Share one subscription between several readers of a topic.',
      too_many_links: 'The SDK tries again. Spread the audience over several topics.',
      internal:
        'The SDK tries again where that can help. On the server: look at the log; a setting that is no good says so there.',
    },
  },
]

export function errorTables() {
  const described = GROUPS.flatMap(({ codes }) => Object.keys(codes))
  assertSame('scripts/docs-errors.mjs', { described, existing: Object.keys(ERRORS) })
  return GROUPS.map(
    ({ title, intro, codes }) =>
      `## ${title}\n\n${intro}\n\n${table(
        ['code', 'meaning', 'what to do', 'try again', 'numbers'],
        Object.entries(codes).map(([code, advice]) => rowOf(code, advice)),
      )}`,
  ).join('\n\n')
}

function rowOf(code, advice) {
  const { number, meaning, retryable, http, close } = ERRORS[code]
  const numbers = [number, http, ...(close === undefined ? [] : [close])].join(' · ')
  return [`<a id="${code}"></a>\`${code}\``, `${meaning}.`, advice, retryable ? 'yes' : 'no', numbers]
}
