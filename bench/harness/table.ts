import { styleText } from 'node:util'
import { median } from './median.ts'
import type { Entry } from './report.ts'
import { ratiosOf } from './rounds.ts'

export interface Row {
  readonly entry: Entry
  readonly asks: string
  readonly better: 'more' | 'less'
  /** One for each round. */
  readonly values: readonly number[]
  readonly peers: readonly number[]
}

const HEAD = ['', 'what was measured', 'value', 'peer', 'ratio', 'rounds', 'target']

/** For the terminal; colours only where there is one. */
export function drawTable(rows: readonly Row[]): string {
  const cells = rows.map(({ entry, asks, better, values, peers }) => {
    const ratios = ratiosOf(values, peers)
    const [[peer = '', ratio = 0] = []] = Object.entries(entry.ratios)
    return [
      entry.name,
      asks,
      `${number(entry.value)} ${entry.unit}`,
      `${peer} ${number(median(peers))}`,
      `${number(ratio)}×`,
      `${number(Math.min(...ratios))}–${number(Math.max(...ratios))}`,
      `${better === 'more' ? '≥' : '≤'} ${entry.target}×`,
    ]
  })
  const widths = HEAD.map((head, column) =>
    Math.max(head.length, ...cells.map((row) => (row[column] as string).length)),
  )
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) =>
        column < 2 ? cell.padEnd(widths[column] as number) : cell.padStart(widths[column] as number),
      )
      .join('   ')
  const marked = cells.map((row, index) => {
    const met = rows[index]?.entry.met
    return `  ${line(row)}  ${styleText(met ? 'green' : 'red', met ? '✓ met' : '✗ missed')}`
  })
  return ['', styleText('dim', `  ${line(HEAD)}`), ...marked, ''].join('\n')
}

function number(value: number): string {
  return value >= 1_000 ? Math.round(value).toLocaleString('en') : value.toPrecision(3)
}
