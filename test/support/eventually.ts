import { vi } from 'vitest'

/** Resolves with the first answer that does not throw; after 20 s it fails with what the last one threw. */
export function eventually<T>(assertion: () => T | Promise<T>): Promise<T> {
  return vi.waitFor(assertion, { timeout: 20_000, interval: 5 })
}
