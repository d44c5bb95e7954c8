// Who may import whom. Reads the imports of every source file, types included, and fails on an arrow that is not drawn here, or on a cycle.
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, posix } from 'node:path'
import { parseSync } from 'oxc-parser'
import { inRoot, isEntry, main } from './project.mjs'

const SDK = 'packages/sdk/src'
// The first row that a file is in is its layer. `may` are beginnings of paths, besides the layer itself; `packages` are from npm.
const LAYERS = [
  { files: `${SDK}/protocol/`, may: [], packages: ['valibot'] },
  {
    files: `${SDK}/broker/`,
    may: [`${SDK}/protocol/`, `${SDK}/store/store.ts`, `${SDK}/store/queue-store.ts`],
    packages: ['croner'],
  },
  { files: `${SDK}/store/`, may: [`${SDK}/protocol/`, `${SDK}/broker/`, `${SDK}/platform.ts`], packages: [] },
  {
    files: `${SDK}/link/`,
    may: [`${SDK}/protocol/`, `${SDK}/broker/`, `${SDK}/store/`, `${SDK}/platform.ts`],
    packages: ['nanoevents'],
  },
  { files: `${SDK}/platform.ts`, may: [], packages: [] },
  {
    files: `${SDK}/cipher/`,
    may: [`${SDK}/client/`, `${SDK}/protocol/`, `${SDK}/platform.ts`],
    packages: [],
  },
  { files: `${SDK}/`, may: [], packages: ['valibot', 'nanoevents'] },
  {
    files: 'packages/edge/src/',
    may: [],
    packages: [
      'hono',
      'jose',
      'valibot',
      'cloudflare:workers',
      '@messkit/sdk/protocol',
      '@messkit/sdk/broker',
      '@messkit/sdk/store',
    ],
  },
  { files: 'packages/demo/src/', may: [], packages: ['@messkit/sdk', '@messkit/sdk/remote'] },
]
const SOURCES = ['packages/*/src/**/*.ts', 'test/**/*.ts', 'bench/**/*.ts', 'scripts/**/*.{ts,mjs,js}']
const TEST = /\.(test|suite|workerd|browser)\.ts$/

/** @returns {string[]} what is wrong, one line each */
export function checkLayers(files, read) {
  const graph = new Map(files.map((file) => [file, importsOf(file, read(file))]))
  const wrong = []
  for (const [file, imports] of graph) {
    const layer = TEST.test(file) ? undefined : LAYERS.find(({ files }) => file.startsWith(files))
    for (const { wanted } of imports) {
      const path = resolve(file, wanted)
      if (path !== undefined && !graph.has(path) && path.endsWith('.ts'))
        wrong.push(`${file} imports ${wanted}, which does not exist`)
      else if (layer !== undefined && !mayImport(layer, wanted, path)) wrong.push(`${file} must not import ${wanted}`)
    }
  }
  const targets = (file) =>
    (graph.get(file) ?? []).flatMap(({ wanted, typeOnly }) => (typeOnly ? [] : (resolve(file, wanted) ?? [])))
  return [...wrong, ...cycles([...graph.keys()], targets).map((cycle) => `cycle: ${cycle.join(' → ')}`)]
}

function mayImport({ files, may, packages }, wanted, path) {
  if (path === undefined)
    return packages.some((name) => wanted === name || (wanted.startsWith(`${name}/`) && !name.startsWith('@messkit/')))
  return [files, ...may].some((beginning) => path.startsWith(beginning))
}

/** `typeOnly` imports are gone at run time: layers hold for them, and a cycle of them is none. */
function importsOf(file, text) {
  const { module, errors } = parseSync(file, text)
  if (errors.length > 0) throw new Error(`${file}: ${errors[0].message}`)
  const isTypeOnly = ({ start, end }) => /^(import|export)\s+type\b/.test(text.slice(start, end))
  const dynamic = module.dynamicImports.map(({ moduleRequest: { start, end } }) => text.slice(start, end))
  return [
    ...module.staticImports.map((one) => ({ wanted: one.moduleRequest.value, typeOnly: isTypeOnly(one) })),
    ...module.staticExports.flatMap((one) =>
      one.entries.flatMap(({ moduleRequest }) =>
        moduleRequest ? { wanted: moduleRequest.value, typeOnly: isTypeOnly(one) } : [],
      ),
    ),
    ...dynamic
      .filter((source) => /^['"]/.test(source))
      .map((source) => ({ wanted: source.slice(1, -1), typeOnly: false })),
  ]
}

/** The path inside the repository, or undefined for a package. */
function resolve(file, wanted) {
  return wanted.startsWith('.') ? posix.join(dirname(file), wanted).replace(/\?.*$/, '') : undefined
}

function cycles(files, targets) {
  const state = new Map()
  const found = []
  const visit = (file, trail) => {
    if (state.get(file) === 'done') return
    if (state.get(file) === 'open') {
      found.push([...trail.slice(trail.indexOf(file)), file])
      return
    }
    state.set(file, 'open')
    for (const target of targets(file)) visit(target, [...trail, file])
    state.set(file, 'done')
  }
  for (const file of files) visit(file, [])
  return found
}

if (isEntry(import.meta)) {
  await main(() => {
    const files = globSync(SOURCES, { cwd: inRoot(), exclude: (name) => name === 'node_modules' }).map((file) =>
      file.replaceAll('\\', '/'),
    )
    const wrong = checkLayers(
      files.filter((file) => existsSync(inRoot(file))),
      (file) => readFileSync(inRoot(file), 'utf8'),
    )
    for (const line of wrong) console.error(line)
    if (wrong.length > 0) process.exit(1)
    console.log(`layers: ${files.length} files`)
  })
}
