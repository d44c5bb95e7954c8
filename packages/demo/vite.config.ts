import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { defineConfig, type Plugin } from 'vite'

const WORKER = 'service-worker.js'

export default defineConfig({
  plugins: [listShell()],
  // The page's policy allows only what comes from its own server: no inline scripts, and images also as data.
  build: {
    target: 'es2022',
    modulePreload: { polyfill: false },
    rolldownOptions: {
      input: ['index.html', 'src/worker/service-worker.ts'],
      output: {
        // The service worker is asked for by its name for ever.
        entryFileNames: ({ name }) => (`${name}.js` === WORKER ? WORKER : 'assets/[name]-[hash].js'),
      },
    },
  },
})

/** Tells the service worker which files there are, and a version that changes with any of them. */
function listShell(): Plugin {
  let publicDir = ''
  return {
    name: 'list-shell',
    configResolved: (config) => {
      publicDir = config.publicDir
    },
    generateBundle: {
      order: 'post',
      handler(_, bundle) {
        const worker = bundle[WORKER]
        if (worker?.type !== 'chunk') throw new Error(`${WORKER} was not built`)
        const built = Object.values(bundle).filter((file) => file !== worker)
        const files = new Map<string, string | Uint8Array>([
          ...built.map((file) => [file.fileName, file.type === 'chunk' ? file.code : file.source] as const),
          ...readdirSync(publicDir).map((name) => [name, readFileSync(join(publicDir, name))] as const),
        ])
        const hash = createHash('sha256')
        for (const [name, content] of [...files].sort(([a], [b]) => (a < b ? -1 : 1))) hash.update(name).update(content)
        const paths = [...files.keys()].map((name) => (name === 'index.html' ? '/' : `/${name}`)).sort()
        const shell = { version: hash.digest('hex').slice(0, 12), files: paths }
        worker.code = `const SHELL=${JSON.stringify(shell)};\n${worker.code}`
      },
    },
  }
}
