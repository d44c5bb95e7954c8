import { refuse } from './errors.ts'
import { ANY, ONE } from './levels.ts'
import type { HistoryBound } from './policy.ts'

/** What grants are about: which actions there are, in the order of their bits, and of which types things are. */
export interface GrantSchema {
  readonly actions: readonly string[]
  readonly types: ReadonlyMap<string, GrantType>
}

export interface GrantType {
  /** What is granted for a name goes for the names below it. `undefined`: names have no levels. */
  readonly separator: string | undefined
}

/** What a group may do with one thing, or with all of a type. Rows add up; a bit that is 0 says nothing. */
export interface GrantRow {
  readonly type: string
  /** `undefined`: all of the type. */
  readonly name: string | undefined
  readonly group: string
  /** Bit 0 is the first action. */
  readonly mask: number
  readonly from?: HistoryBound
  /** Where the topic's log stood when it learned of the right to read history; with `from: 'grant'`, nobody reads further back. */
  readonly since?: number
}

export interface GrantAsk {
  readonly groups: Iterable<string>
  readonly type: string
  /** `undefined`: no single thing, so only what is granted for all of the type counts. */
  readonly name: string | undefined
}

/** Is this the name of something of the type? Every level says something. */
export function isGrantName({ separator }: GrantType, name: string): boolean {
  if (name.trim() === '') return false
  return separator === undefined || name.split(separator).every((level) => level !== '')
}

/** The reference: looks at every row. */
export function grantedNaively(schema: GrantSchema, rows: readonly GrantRow[], ask: GrantAsk): number {
  const type = schema.types.get(ask.type)
  const { name } = ask
  if (!type || (name !== undefined && !isGrantName(type, name))) return 0
  const groups = new Set(ask.groups)
  return rows
    .filter((row) => row.type === ask.type && groups.has(row.group) && isFor(type, row.name, name))
    .reduce((mask, row) => mask | row.mask, 0)
}

/** Is the row about the thing, by its name, by the name of something above it, or by being about all? */
function isFor({ separator }: GrantType, row: string | undefined, name: string | undefined): boolean {
  if (row === undefined || row === name) return true
  return separator !== undefined && name?.startsWith(row + separator) === true
}

/** Rows by group and name: a question looks up the thing and what is above it, and no more. */
export class Grants {
  readonly schema: GrantSchema
  readonly #byType = new Map<string, Map<string, Map<string | undefined, GrantRow>>>()

  constructor(schema: GrantSchema, rows: Iterable<GrantRow> = []) {
    this.schema = schema
    for (const row of rows) this.add(row)
  }

  /** Adds bits. The wider bound of history counts, and the earlier point. */
  add(row: GrantRow): void {
    if (!this.schema.types.has(row.type)) refuse('bad-grant', 0, 'there is no such type')
    const ofGroup = this.#ofGroup(row)
    const known = ofGroup.get(row.name)
    ofGroup.set(row.name, known ? join(known, row) : row)
  }

  /** Takes bits of one row away. */
  remove({ type, name, group, mask }: GrantRow): void {
    const ofGroup = this.#byType.get(type)?.get(group)
    const known = ofGroup?.get(name)
    if (!ofGroup || !known) return
    if ((known.mask & ~mask) === 0) ofGroup.delete(name)
    else ofGroup.set(name, { ...known, mask: known.mask & ~mask })
  }

  *rows(): Generator<GrantRow> {
    for (const byGroup of this.#byType.values()) for (const ofGroup of byGroup.values()) yield* ofGroup.values()
  }

  /** The bits that these groups have for the thing. */
  granted(ask: GrantAsk): number {
    let mask = 0
    for (const row of this.rowsFor(ask)) mask |= row.mask
    return mask
  }

  /** The rows that say something about the thing: for explaining, and for the bound of history. */
  *rowsFor({ groups, type, name }: GrantAsk): Generator<GrantRow> {
    const of = this.schema.types.get(type)
    const byGroup = this.#byType.get(type)
    if (!of || !byGroup || (name !== undefined && !isGrantName(of, name))) return
    const names = name === undefined ? [undefined] : [undefined, ...selfAndAbove(of, name)]
    for (const group of new Set(groups)) {
      const ofGroup = byGroup.get(group)
      if (!ofGroup) continue
      for (const each of names) {
        const row = ofGroup.get(each)
        if (row) yield row
      }
    }
  }

  /** A subscription to a pattern: may everything that it can match be read by one row? */
  grantsPattern({ groups, type, name: pattern }: GrantAsk, bit: number): boolean {
    const of = this.schema.types.get(type)
    if (!of || pattern === undefined || !isGrantName(of, pattern)) return false
    return [...new Set(groups)].some((group) =>
      [...(this.#byType.get(type)?.get(group)?.values() ?? [])].some(
        (row) => (row.mask & bit) !== 0 && holdsAllOf(of, row, pattern),
      ),
    )
  }

  #ofGroup({ type, group }: GrantRow): Map<string | undefined, GrantRow> {
    const byGroup = this.#byType.get(type) ?? new Map<string, Map<string | undefined, GrantRow>>()
    this.#byType.set(type, byGroup)
    const ofGroup = byGroup.get(group) ?? new Map<string | undefined, GrantRow>()
    byGroup.set(group, ofGroup)
    return ofGroup
  }
}

function join(known: GrantRow, row: GrantRow): GrantRow {
  const from = known.from === 'all' || row.from === 'all' ? 'all' : (known.from ?? row.from)
  const points = [known.since, row.since].filter((since) => since !== undefined)
  return {
    ...known,
    mask: known.mask | row.mask,
    ...(from === undefined ? {} : { from }),
    ...(points.length === 0 ? {} : { since: Math.min(...points) }),
  }
}

/** `a.b.c`, `a.b`, `a`. */
function selfAndAbove({ separator }: GrantType, name: string): string[] {
  const names = [name]
  if (separator === undefined) return names
  for (let at = name.lastIndexOf(separator); at > 0; at = name.lastIndexOf(separator, at - 1))
    names.push(name.slice(0, at))
  return names
}

function holdsAllOf({ separator }: GrantType, { name }: GrantRow, pattern: string): boolean {
  if (name === undefined) return true
  if (separator === undefined) return name === pattern && !WILD.includes(name)
  // Row and pattern begin alike, and with no wildcard: what the pattern matches is at the row's name or below it.
  const levels = pattern.split(separator)
  return name.split(separator).every((level, at) => level === levels[at] && !WILD.includes(level))
}

const WILD: readonly string[] = [ONE, ANY]
