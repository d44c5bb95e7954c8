import type { Page } from 'playwright-core'

/**
 * The browser takes all handles on the databases of an origin away, as it does when its storage fails: what is written at that
 * moment may be stored or not, and may never be answered.
 * @param internals a page for the browser's own list of databases
 */
export async function closeDatabases(internals: Page, url: string): Promise<void> {
  const { origin } = new URL(url)
  await internals.goto('chrome://indexeddb-internals')
  const bucket = internals.locator('.metadata-list-item', { hasText: `${origin}/` })
  await bucket.locator('.force-close').last().dispatchEvent('click')
}
