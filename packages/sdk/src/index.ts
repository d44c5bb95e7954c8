export type { Retention } from './broker/retention.ts'
export type { RawMessage, Verdict } from './client/consumer.ts'
export { createMess, type MessOptions } from './client/create.ts'
export { type ErrorScope, type Gap, GapError, MessError, RefusedError, SchemaError } from './client/errors.ts'
export type { Mess, MessEvents, Status } from './client/mess.ts'
export type { Message } from './client/message.ts'
export type { Outbox, OutboxEntry } from './client/outbox.ts'
export type { Ack, Receipt, Stored } from './client/receipt.ts'
export type { StandardSchema } from './client/schema.ts'
export type { Subscription } from './client/subscription.ts'
export type { AskToken } from './client/token.ts'
export type {
  HistoryOptions,
  Page,
  PublishOptions,
  ReplicaOptions,
  SubscribeOptions,
  Topic,
  TopicCipher,
  TopicOptions,
  View,
  ViewOptions,
} from './client/topic.ts'
export type { Pending, Shown } from './client/view.ts'
export type { Cursor } from './protocol/cursor.ts'
export type { ErrorCode } from './protocol/error-codes.ts'
