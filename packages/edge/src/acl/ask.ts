import type { Address } from './network.ts'

/** Who asks, as far as it was proved. Made once per connection; what it is by the policy is found by `Identities`. */
export interface Caller {
  /** `undefined` is nobody. */
  readonly user: string | undefined
  /** Absent: the deployment's own issuer. A user of another issuer is somebody else, also under the same name. */
  readonly issuer?: string
  /** From the directory and from tokens whose issuer is trusted for groups. Never from what the caller says. */
  readonly groups: readonly string[]
  /** False where the name was said and not proved. */
  readonly authenticated: boolean
  /** `undefined`: not known. */
  readonly address?: Address
  /** The name found for the address; `null` when looking it up failed. */
  readonly hostname?: string | null
}

export type Value = string | number | boolean | readonly string[]

/** How much the caller holds or wants, where a limit may be about it. */
export interface Usage {
  readonly connections?: number
  readonly connectionsPerAddress?: number
  readonly subscriptions?: number
  readonly queues?: number
  /** Size of the message. */
  readonly bytes?: number
  /** Messages from the end that are wanted. */
  readonly depth?: number
}

export interface AskOptions {
  readonly name?: string
  /** By canonical name, see `canonical`; without `name`. */
  readonly properties?: ReadonlyMap<string, Value>
  readonly usage?: Usage
}

/** What somebody wants to do with what. */
export class Ask {
  readonly action: string
  readonly object: string
  readonly name: string | undefined
  readonly properties: ReadonlyMap<string, Value>
  readonly usage: Usage
  #levels: { readonly text: string; readonly separator: string; readonly levels: readonly string[] } | undefined

  constructor(action: string, object: string, { name, properties = NONE, usage = NOTHING }: AskOptions = {}) {
    this.action = action
    this.object = object
    this.name = name
    this.properties = properties
    this.usage = usage
  }

  value(property: string): Value | undefined {
    return property === 'name' ? this.name : this.properties.get(property)
  }

  /** The value as text; lists have none. */
  text(property: string): string | undefined {
    const value = this.value(property)
    if (typeof value === 'number') return Number.isInteger(value) ? BigInt(value).toString() : value.toString()
    return typeof value === 'object' ? undefined : value?.toString()
  }

  /** Cut once: many rules look at the levels of the same name. */
  levels(text: string, separator: string): readonly string[] {
    if (this.#levels?.text !== text || this.#levels.separator !== separator)
      this.#levels = { text, separator, levels: text.split(separator) }
    return this.#levels.levels
  }
}

const NONE: ReadonlyMap<string, Value> = new Map()
const NOTHING: Usage = {}

/** Names of properties compare without case, underscores and, in Messkit's own notation, hyphens. */
export function canonical(name: string): string {
  return name.replaceAll('_', '').toLowerCase()
}
