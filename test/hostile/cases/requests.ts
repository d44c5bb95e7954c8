import { LIMITS, makeCursor, PROTOCOL } from '@messkit/sdk/protocol'
import { type Case, ID, notification, publish, publisher, request, TARGET, ws } from '../case.ts'

const subscribe = (subscription: number, more: object = {}, rest: object = {}) =>
  request('subscribe', { topic: TARGET, subscription, from: 'now', window: 0, ...more }, rest)
const history = (more: object = {}) => request('history', { topic: TARGET, limit: 1, ...more })
const credit = (subscription: number, through: number) =>
  notification('credit', { topic: TARGET, subscription, through })
const fill = (count: number, make: (i: number) => string): string[] => Array.from({ length: count }, (_, i) => make(i))
/** A number of its own, so that it is not taken for the answer that is judged. */
const first = (text: string): string => text.replace(`"id":${ID}`, '"id":1')

/** Frames that make the log larger than a page. */
const large = () =>
  fill(4, () =>
    first(
      publish(
        Array(3)
          .fill(`"${'x'.repeat(LIMITS.messageBytes - 2)}"`)
          .join(',\n'),
      ),
    ),
  )
const abandoned = (count: number) =>
  fill(2 * count, (i) =>
    i % 2 === 0
      ? subscribe(i + 1, { from: { last: 6 }, window: LIMITS.creditBytes }, { id: i + 100 })
      : request('unsubscribe', { topic: TARGET, subscription: i }, { id: i + 100 }),
  )

/** Requests that are well-formed and ask for what there is not, or too much of what there is. */
export function requestCases(): Case[] {
  const known = publisher()
  const store = (sequence: number, lines = '1') =>
    publish(lines, { publisher: known, after: sequence - 1, first: sequence })
  const foreign = publisher()
  const ofEpoch = (epoch: string, offset: number) => makeCursor(epoch, offset)

  return [
    ws('subscriptionTwice', 'a subscription twice', subscribe(1), { before: [first(subscribe(1))], fresh: true }),
    ws('subscriptionTwice', 'a subscription twice from elsewhere', subscribe(1, { from: 'start' }), {
      before: [first(subscribe(1))],
      fresh: true,
    }),
    ws(
      'unknownSubscription',
      'the end of a subscription that is not there',
      request('unsubscribe', { topic: TARGET, subscription: 7 }),
    ),
    ws(
      'unknownSubscription',
      'the end of a subscription twice',
      request('unsubscribe', { topic: TARGET, subscription: 1 }),
      {
        before: [first(subscribe(1)), request('unsubscribe', { topic: TARGET, subscription: 1 }, { id: 2 })],
        fresh: true,
      },
    ),
    ws(
      'unknownSubscription',
      'the end of somebody else’s subscription',
      request('unsubscribe', { topic: TARGET, subscription: 1 }),
      {
        as: 'other',
      },
    ),
    ws('manySubscriptions', 'one subscription too many', subscribe(1_000), {
      before: fill(LIMITS.subscriptionsPerLink, (i) => subscribe(i + 1, {}, { id: i + 100 })),
      fresh: true,
    }),

    ws('creditIgnored', 'credit for nothing', credit(7, 1)),
    ws(
      'creditIgnored',
      'credit for nothing, as a request',
      request('credit', { topic: TARGET, subscription: 7, through: 1 }),
    ),
    ws('creditIgnored', 'the largest credit for nothing', credit(0xffff_ffff, Number.MAX_SAFE_INTEGER)),
    ws('creditIgnored', 'less credit than was granted', credit(1, 0), {
      before: [first(subscribe(1, { window: LIMITS.creditBytes }))],
      fresh: true,
    }),
    ws('creditIgnored', 'more credit than anybody could handle', credit(1, Number.MAX_SAFE_INTEGER), {
      before: [first(subscribe(1))],
      fresh: true,
    }),
    ws(
      'creditIgnored',
      '1,000 credits',
      fill(1_000, (i) => credit(1, i)),
      { before: [first(subscribe(1))], fresh: true },
    ),

    ws('strangeCursor', 'a subscription from another epoch', subscribe(1, { from: ofEpoch('0'.repeat(16), 5) }), {
      fresh: true,
    }),
    ws('strangeCursor', 'a subscription from an epoch to come', subscribe(1, { from: ofEpoch('z'.repeat(16), 0) }), {
      fresh: true,
    }),
    ws(
      'strangeCursor',
      'a subscription from the largest offset',
      subscribe(1, { from: ofEpoch('0'.repeat(16), Number.MAX_SAFE_INTEGER) }),
      { fresh: true },
    ),
    ws('strangeCursor', 'history from another epoch', history({ from: ofEpoch('0'.repeat(16), 5) })),
    ws(
      'strangeCursor',
      'history from another epoch, backwards',
      history({ from: ofEpoch('0'.repeat(16), 5), reverse: true }),
    ),
    ws('strangeCursor', 'the newest of more than all', subscribe(1, { from: { last: Number.MAX_SAFE_INTEGER } }), {
      fresh: true,
    }),
    ws(
      'extras',
      'a field of a prototype beside the right one',
      subscribe(1).replace('"window":0', '"__proto__":{"window":5},"window":0'),
      { fresh: true },
    ),
    ws('extras', 'a field twice', subscribe(1).replace('"window":0', '"window":-1,"window":0'), { fresh: true }),
    ws('extras', 'zero below zero', subscribe(1).replace('"window":0', '"window":-0'), { fresh: true }),
    ws('extras', 'the largest number of a subscription', subscribe(0xffff_ffff - 1), { fresh: true }),

    ws('sequenceOrder', 'after that is first', publish('1', { after: 1, first: 1 })),
    ws('sequenceOrder', 'after beyond first', publish('1', { after: 5, first: 2 })),
    ws('unknownPublisher', 'a publisher that is not known', publish('1', { after: 3, first: 4 })),
    ws(
      'unknownPublisher',
      'the largest after of a publisher that is not known',
      publish('1', { after: Number.MAX_SAFE_INTEGER - 2, first: Number.MAX_SAFE_INTEGER - 1 }),
    ),
    ws('oddPayload', 'the first message of a publisher', publish('1', { publisher: foreign })),
    ws('unknownPublisher', 'another user’s publisher', publish('"mine"', { publisher: foreign, after: 1, first: 2 }), {
      as: 'other',
    }),
    ws('oddPayload', 'the same publisher of another user', publish('"mine"', { publisher: foreign }), { as: 'other' }),
    ws('sequenceGap', 'a sequence after one that is missing', publish('1', { publisher: foreign, after: 7, first: 8 })),
    ws('oddPayload', 'sequences far apart', publish('1', { publisher: foreign, after: 1, first: 1_000_000 })),
    ws('repeat', 'a message twice', store(1), { before: [first(store(1))] }),
    ws('repeat', 'a message again with another payload', store(1, '"other"')),
    ws('repeat', 'a message again among others', store(1, Array(3).fill('2').join(',\n'))),
    ws('oddPayload', 'numbers of others', publish('1', { ids: ['another-publisher', 7] })),
    ws('oddPayload', 'the same numbers of others again', publish('1', { ids: ['another-publisher', 7] })),
    ws('oddPayload', 'keys of every kind', publish('1,\n2,\n3', { keys: ['__proto__', '\0\u202e', null] })),
    ws('oddPayload', 'the longest key', publish('1', { keys: ['x'.repeat(LIMITS.keyBytes)] })),
    ws('oddPayload', 'the most messages', publish(Array(LIMITS.messagesPerFrame).fill('1').join(',\n'))),

    ws('expired', 'a request after the token has ended', history(), { as: 'expiring' }),
    ws('expired', 'a word after the token has ended', 'hello', { as: 'expiring' }),
    ws('expired', 'a publish after the token has ended', publish('1'), { as: 'expiring' }),
    ws('expired', 'a renewal after the token has ended', request('authenticate', { token: 'a.b.c' }), {
      as: 'expiring',
    }),
    // The last ones: from here on the log is large.
    ws(
      'muchHistory',
      'history without an end',
      Array(20).fill(history({ limit: LIMITS.historyMessages, reverse: true })),
      {
        before: large(),
        fresh: true,
      },
    ),
    ws('muchAbandoned', 'subscriptions that are given up over and over', subscribe(1_000), {
      before: [...large(), ...abandoned(10)],
      fresh: true,
    }),
    ws('otherVersion', 'versions that do not hold ours', request('hello', { versions: [PROTOCOL.current + 1, 99] }), {
      as: 'stranger',
    }),
  ]
}
