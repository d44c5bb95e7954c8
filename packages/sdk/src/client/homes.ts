import { TopicHome } from '../broker/home.ts'
import type { Retention } from '../broker/retention.ts'
import { Alarm, elapsed, now, random } from '../platform.ts'
import { makeEpoch } from '../protocol/epoch.ts'
import { readRequest } from '../protocol/trusted.ts'
import type { LogStore } from '../store/store.ts'

export interface HomesOptions {
  readonly retention: Retention
  readonly store: (topic: string) => LogStore
  /** Increased by each tab that takes shared stores over. */
  readonly term: number
  readonly onFailed?: (topic: string, error: unknown) => void
}

/** The homes of all local topics in this process, each made when it is first used. */
export class Homes {
  readonly #options: HomesOptions
  readonly #homes = new Map<string, { home: TopicHome; alarm: Alarm }>()

  constructor(options: HomesOptions) {
    this.#options = options
  }

  get(topic: string): TopicHome {
    const known = this.#homes.get(topic)
    if (known) return known.home
    const { retention, store, term, onFailed } = this.#options
    const alarm = new Alarm(() => home.due(), false)
    const home = new TopicHome({
      topic,
      retention,
      term,
      store: store(topic),
      decode: readRequest,
      now,
      newEpoch: () => makeEpoch(now(), random),
      wakeAt: (at) => alarm.set(elapsed() + at - now()),
      onFailed: (error) => onFailed?.(topic, error),
    })
    this.#homes.set(topic, { home, alarm })
    return home
  }

  close(): void {
    for (const { alarm } of this.#homes.values()) alarm.clear()
    this.#homes.clear()
  }
}
