/** One way between a client and a broker: text frames both ways, in order, until it is lost once. */
export interface Link {
  send(text: string): void
  /** Idempotent; nothing is heard after it. */
  close(): void
}

export interface LinkEvents {
  opened(): void
  heard(text: string): void
  /** @param code the WebSocket close code, where there is one */
  lost(code?: number): void
}

/** Opens a link to a topic's home. Events come later, never before this returns. */
export type OpenLink = (topic: string, token: string | undefined, events: LinkEvents) => Link
