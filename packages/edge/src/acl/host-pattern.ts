import { ACL_BOUNDS } from './bounds.ts'
import { readTree, type Takes, type Tree, Unreadable } from './host-pattern-tree.ts'

/**
 * Regular expressions for host names, as the `broker-j` dialect has them, without a regular expression engine: an automaton that walks
 * all its ways at once, so that no pattern can make it slow. Known are literals, `.`, classes, groups, `|`, `*`, `+`, `?`, `{n,m}`.
 */
export interface HostPattern {
  readonly source: string
  readonly start: number
  readonly states: readonly State[]
}

/** Reads one character of the kind and goes on, or goes on without reading, or is the end. */
type State =
  | { readonly kind: 'read'; readonly takes: Takes; readonly next: number }
  | { readonly kind: 'split'; readonly next: readonly number[] }
  | { readonly kind: 'end' }

/** `undefined` if it is no pattern, is too large, or asks for something that only backtracking can do. */
export function parseHostPattern(source: string): HostPattern | undefined {
  if (source.length > ACL_BOUNDS.hostPatternChars) return undefined
  try {
    const tree = readTree(source)
    const states: State[] = [{ kind: 'end' }]
    const start = build(tree, 0, states)
    return { source, start, states }
  } catch (error) {
    if (error instanceof Unreadable) return undefined
    throw error
  }
}

/** Does the whole name match? Linear in the name, times the number of states. */
export function matchHost({ states, start }: HostPattern, name: string): boolean {
  if (name.length > ACL_BOUNDS.hostNameChars) return false
  let now = reach(states, [start])
  for (let index = 0; index < name.length; index++) {
    const code = name.charCodeAt(index)
    const next: number[] = []
    for (const at of now) {
      const state = states[at] as State
      if (state.kind === 'read' && state.takes(code)) next.push(state.next)
    }
    if (next.length === 0) return false
    now = reach(states, next)
  }
  return now.has(0)
}

function reach(states: readonly State[], from: readonly number[]): Set<number> {
  const reached = new Set(from)
  for (const at of reached) {
    const state = states[at] as State
    if (state.kind === 'split') for (const next of state.next) reached.add(next)
  }
  return reached
}

/** From the end to the start: each part knows where it goes on to. */
function build(tree: Tree, next: number, states: State[]): number {
  if (states.length > ACL_BOUNDS.hostPatternStates) throw new Unreadable()
  switch (tree.kind) {
    case 'char':
      return states.push({ kind: 'read', takes: tree.takes, next }) - 1
    case 'sequence':
      return tree.parts.reduceRight((after, part) => build(part, after, states), next)
    case 'choice':
      return states.push({ kind: 'split', next: tree.parts.map((part) => build(part, next, states)) }) - 1
    case 'repeat':
      return buildRepeat(tree, next, states)
  }
}

function buildRepeat({ part, least, most }: Extract<Tree, { kind: 'repeat' }>, next: number, states: State[]): number {
  let start = next
  if (most === Infinity) {
    const loop: number[] = [next]
    start = states.push({ kind: 'split', next: loop }) - 1
    loop.push(build(part, start, states))
  } else {
    for (let i = least; i < most; i++) {
      const once = build(part, start, states)
      start = states.push({ kind: 'split', next: [once, next] }) - 1
    }
  }
  for (let i = 0; i < least; i++) start = build(part, start, states)
  return start
}
