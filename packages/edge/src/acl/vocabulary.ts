import { RIGHTS } from '@messkit/sdk/broker'
import type { GrantSchema, GrantType } from './grants.ts'

/** What can be done in Messkit, each with its bit in a mask of rights. */
export const ACTION_BITS = RIGHTS

export type Action = keyof typeof ACTION_BITS
export type ObjectKind = 'topic' | 'queue' | 'server'

/** What fits together. A rule about anything else is refused: it would never decide. */
export const ACTIONS_ON: Readonly<Record<ObjectKind, readonly Action[]>> = {
  topic: [
    'publish',
    'subscribe',
    'view',
    'history',
    'presence',
    'announce',
    'create',
    'delete',
    'purge',
    'change',
    'grant',
  ],
  queue: ['enqueue', 'work', 'peek', 'view', 'create', 'delete', 'purge', 'change', 'grant'],
  server: ['connect', 'view', 'change', 'grant', 'admin'],
}

export const ACTIONS = Object.keys(ACTION_BITS) as readonly Action[]
export const OBJECT_KINDS = Object.keys(ACTIONS_ON) as readonly ObjectKind[]
export const SEPARATOR = '/'

export function isAction(word: string): word is Action {
  return Object.hasOwn(ACTION_BITS, word)
}

/** The vocabulary's own text, which compares faster than a text that was read: engines compare their places first. */
export function actionOf(word: string): Action | undefined {
  return ACTIONS.find((action) => action === word)
}

export function objectKindOf(word: string): ObjectKind | undefined {
  return OBJECT_KINDS.find((kind) => kind === word)
}

/** What a group can be granted. Topics inherit downwards; queues have no levels that mean anything. */
export const GRANT_SCHEMA: GrantSchema = {
  actions: ACTIONS,
  types: new Map<ObjectKind, GrantType>([
    ['topic', { separator: SEPARATOR }],
    ['queue', { separator: undefined }],
    ['server', { separator: undefined }],
  ]),
}
