import type { StandardSchema } from '@messkit/sdk'

/** By hand, as any validator would make it: what is published is text, what is delivered a number. */
export const countSchema: StandardSchema<{ count: string }, { count: number }> = {
  '~standard': {
    version: 1,
    vendor: 'by-hand',
    validate(value) {
      const { count } = (value ?? {}) as { count?: unknown }
      const number = typeof count === 'string' ? Number(count) : Number.NaN
      return Number.isNaN(number)
        ? { issues: [{ message: 'count: digits', path: ['count'] }] }
        : { value: { count: number } }
    },
  },
}

export const laterSchema: StandardSchema<string> = {
  '~standard': { version: 1, vendor: 'by-hand', validate: async (value) => ({ value: value as string }) },
}
