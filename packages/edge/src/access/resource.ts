/** What has an object of its own, and may have rules of its own. */
export interface Resource {
  readonly kind: ResourceKind
  readonly name: string
}

export type ResourceKind = 'topic' | 'queue'

/** No name has a colon. */
const QUEUE = 'queue:'

/** What the directory and limiters know it by, and have stored: topics came first, and stand there by their names alone. */
export const keyOf = ({ kind, name }: Resource): string => (kind === 'topic' ? name : QUEUE + name)

export const resourceOf = (key: string): Resource =>
  key.startsWith(QUEUE) ? { kind: 'queue', name: key.slice(QUEUE.length) } : { kind: 'topic', name: key }
