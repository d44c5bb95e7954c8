import { RIGHTS_FAULTS } from './rights.ts'

/** What is broken on purpose. A campaign in which one of these never happened has shown nothing about it, and has failed. */
const FAULTS = [
  // The machine of the topic, its clock and its disk
  'server crash',
  'hibernated',
  'clock jump',
  'log lost',
  'load failed',
  'read failed',
  'commit failed',
  'commit failed and was written',
  'flush failed',
  'store stalled',
  // Links
  'cut',
  'half open',
  'connect hangs',
  'stalled link',
  'late frames',
  'duplicated frame',
  // Clients
  'client crash',
  'client closed',
  'client sleeps',
  'handler threw',
  'handler never ends',
  'one client never handles',
  'one client cut off',
  'one client asleep',
  'one client locked out',
  // Tokens
  'token failed',
  'token late',
  'expired token',
  'bad token',
  'foreign token',
  // Rights
  ...RIGHTS_FAULTS,
] as const

/** What faults lead to, and must have led to. */
const FACTS = [
  'log discarded',
  'crash between commit and ack',
  'hibernated between commit and fan-out',
  'credit ran out',
  'resumed',
  'resumed in pages',
  'gap: retention',
  'gap: epoch',
  'trimmed during resume',
  'all trimmed',
  'unsubscribed',
  'heard of an old connection',
  'refused',
  'duplicate',
  'publisher forgotten',
  'history in pages',
  'gap in history',
  'token expired',
  'token renewed',
  'token refused',
  'stuck',
  'nobody let in without a right',
  'told to come again',
  'told to go',
  'woken to fewer rights',
  'publish forbidden',
  'subscribe forbidden',
  'history forbidden',
  'gap: access',
] as const

export const KINDS: readonly string[] = [...FAULTS, ...FACTS]
