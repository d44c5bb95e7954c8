/** JSON from elsewhere. Its members are read by their own names only, so that `__proto__` is a name like any other. */
export type Json = Readonly<Record<string, unknown>>

export function isRecord(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function isList(value: unknown): value is readonly unknown[] {
  return Array.isArray(value)
}

export function isStrings(value: unknown): value is readonly string[] {
  return isList(value) && value.every((member) => typeof member === 'string')
}

/** `undefined` where the object has no such member of its own. */
export function memberOf(json: Json, name: string): unknown {
  return Object.hasOwn(json, name) ? json[name] : undefined
}
