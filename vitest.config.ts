import { cloudflareTest } from '@cloudflare/vitest-plugin'
import { playwright } from '@vitest/browser-playwright'
import { defineConfig } from 'vitest/config'
import { chromiumArgs, chromiumPath } from './scripts/chromium.mjs'
import { Failure } from './scripts/project.mjs'
import { OPEN_TO_ALL } from './test/support/policy.ts'
import { canMount } from './test/support/small-disk.ts'

const reporters = ['default', ...(process.env.MESSKIT_COUNTS ? ['./scripts/count-reporter.mjs'] : [])]

/** One run, three homes: a plain process, a Durable Object in workerd, a page in a real browser. */
export default defineConfig({
  test: {
    reporters,
    allowOnly: false,
    maxWorkers: 2,
    projects: [
      {
        test: {
          name: 'node',
          include: ['packages/*/src/**/*.test.ts', 'test/**/*.test.ts', 'scripts/**/*.test.ts'],
          exclude: canMount
            ? []
            : notHere('test/faults/disk-full.test.ts', 'only Linux lets root have a disk that is small enough'),
          environment: 'node',
          testTimeout: 30_000, // the first start of a server reads 160 MB from a cold disk
          hookTimeout: 30_000,
        },
      },
      {
        plugins: [
          cloudflareTest({
            wrangler: { configPath: './wrangler.toml' },
            miniflare: { bindings: { POLICY: OPEN_TO_ALL } },
          }),
        ],
        test: {
          name: 'workerd',
          include: ['test/**/*.workerd.ts', 'packages/edge/**/*.workerd.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'browser',
          include: ['test/**/*.browser.ts'],
          testTimeout: 30_000,
          hookTimeout: 30_000,
          browser: {
            enabled: true,
            headless: true,
            screenshotFailures: false,
            provider: playwright({ launchOptions: { executablePath: browser(), args: chromiumArgs() } }),
            instances: [{ browser: 'chromium' }],
          },
        },
      },
    ],
  },
})

/** What this system cannot run is not counted, and named. */
function notHere(file: string, why: string): string[] {
  console.error(`messkit: not run here: ${file}, ${why}`)
  return [file]
}

// Without a browser the tests that need one fail and say how to get one; the others run.
function browser(): string {
  try {
    return chromiumPath()
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    console.error(`messkit: ${error.message}`)
    return 'no-browser-found'
  }
}
