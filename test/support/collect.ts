import type { Gap, Message, SubscribeOptions, Subscription, Topic } from '@messkit/sdk'
import { expect, onTestFinished } from 'vitest'
import { eventually } from './eventually.ts'

/** What a subscription brought so far, in order. */
export interface Collected<T> {
  readonly subscription: Subscription
  readonly messages: Message<T>[]
  /** The data of each message; a gap is the text `gap 3 to 7: retention`. */
  readonly seen: (T | string)[]
  /** Resolves once that much was seen, and fails if it is anything else in the end. */
  until(expected: readonly (T | string)[]): Promise<void>
}

/** Subscribes and writes down what comes. */
export function collect<T>(topic: Topic<T>, options: SubscribeOptions = {}): Collected<T> {
  const messages: Message<T>[] = []
  const seen: (T | string)[] = []
  const onGap = ({ from, to, reason }: Gap): void => void seen.push(`gap ${from} to ${to}: ${reason}`)
  const subscription = topic.subscribe(
    (message) => {
      messages.push(message)
      seen.push(message.data)
    },
    { onGap, ...options },
  )
  onTestFinished(() => subscription.stop())
  return {
    subscription,
    messages,
    seen,
    until: (expected) => eventually(() => expect(seen).toEqual(expected)),
  }
}
