import { bound, refuse } from './errors.ts'
import type { Token } from './lexer.ts'
import type { PropertyStatement } from './statements.ts'

/** A property as it stands on its line; where it is given twice there are two of them. */
export interface ReadProperty extends PropertyStatement {
  readonly line: number
}

/** `name=value name=[value, value] …`. One by one, so that the first thing wrong on a line is the one that is told. */
export function* readProperties(tokens: readonly Token[]): Generator<ReadProperty> {
  let at = 0
  while (at < tokens.length) {
    const key = tokens[at] as Token
    const { line } = key
    const equals = tokens[at + 1]
    if (!equals) refuse('property-key-only', line, 'a property has no value; write name=value')
    if (!isSign(equals, '=')) refuse('property-no-equals', line, 'a property is written name=value')
    const value = tokens[at + 2]
    if (!value) refuse('property-no-value', line, 'a property has no value; write name=value')
    const [values, end] = isSign(value, '[') ? readList(tokens, at + 3, line) : [[value.text], at + 3]
    yield { name: key.text, values, line }
    at = end
  }
}

function readList(tokens: readonly Token[], start: number, line: number): [string[], number] {
  const values: string[] = []
  for (let at = start; at < tokens.length; at++) {
    const token = tokens[at] as Token
    if (isSign(token, ']')) {
      if (values.length === 0) refuse('property-no-value', line, 'a list of values is empty')
      return [values, at + 1]
    }
    if (!isSign(token, ',')) values.push(token.text)
    bound('valuesPerProperty', values.length, line)
  }
  return refuse('property-no-close-bracket', line, 'a list of values is not closed')
}

export function isSign(token: Token | undefined, sign: string): boolean {
  return token !== undefined && !token.quoted && token.text === sign
}

/** A property that is given several times has all the values. */
export function merge(properties: readonly PropertyStatement[]): PropertyStatement[] {
  const byName = new Map<string, string[]>()
  for (const { name, values } of properties) byName.set(name, [...(byName.get(name) ?? []), ...values])
  return [...byName].map(([name, values]) => ({ name, values: [...new Set(values)] }))
}
