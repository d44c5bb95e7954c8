import { EVERY, type Rule } from './policy.ts'
import { Slot } from './slot.ts'

/** Where the rules about an action and an object are. */
export class SlotTable {
  /** By action and object. What no rule names is under `EVERY`. */
  readonly #about = new Map<string, Map<string, readonly Slot[]>>()

  constructor(rules: readonly Rule[], identitiesOf: (rule: Rule) => readonly number[]) {
    const slots = new Map<string, Map<string, Slot>>()
    for (const rule of rules) {
      const identities = identitiesOf(rule)
      for (const action of wordsOf(rule.actions)) {
        for (const object of wordsOf(rule.objects)) slotAt(slots, action, object).add(rule, identities)
      }
    }
    this.#fill(slots)
  }

  about({ action, object }: { readonly action: string; readonly object: string }): readonly Slot[] {
    const objects = this.#about.get(action) ?? this.#about.get(EVERY)
    return objects?.get(object) ?? objects?.get(EVERY) ?? NONE
  }

  /** Rules about every action or object count for each of them. */
  #fill(slots: ReadonlyMap<string, ReadonlyMap<string, Slot>>): void {
    const objects = new Set([EVERY, ...[...slots.values()].flatMap((own) => [...own.keys()])])
    for (const action of new Set([EVERY, ...slots.keys()])) {
      const ofAction = new Map<string, readonly Slot[]>()
      this.#about.set(action, ofAction)
      for (const object of objects) {
        const found = [...new Set([action, EVERY])].flatMap((each) =>
          [...new Set([object, EVERY])].flatMap((other) => slots.get(each)?.get(other) ?? []),
        )
        ofAction.set(object, found)
      }
    }
  }
}

const NONE: readonly Slot[] = []

function wordsOf(words: Rule['actions']): readonly string[] {
  return words === EVERY ? [EVERY] : words
}

function slotAt(slots: Map<string, Map<string, Slot>>, action: string, object: string): Slot {
  const own = slots.get(action) ?? new Map<string, Slot>()
  slots.set(action, own)
  const slot = own.get(object) ?? new Slot()
  own.set(object, slot)
  return slot
}
