// Counts what vitest ran, for the total at the end of `npm test`. A test that was skipped is a test that did not pass.
import { writeFileSync } from 'node:fs'

export default class CountReporter {
  onTestRunEnd(modules, unhandledErrors, reason) {
    const counts = { passed: 0, failed: unhandledErrors.length }
    for (const module of modules) {
      for (const test of module.children.allTests()) counts[test.result().state === 'passed' ? 'passed' : 'failed']++
      counts.failed += errorsOutsideTests(module)
    }
    writeFileSync(process.env.MESSKIT_COUNTS, JSON.stringify({ ...counts, reason }))
  }
}

// A file that does not load, or a hook that throws, fails no test by itself.
function errorsOutsideTests(module) {
  const suites = [...module.children.allSuites()]
  return [module, ...suites].reduce((count, unit) => count + unit.errors().length, 0)
}
