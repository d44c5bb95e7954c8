// The configuration of stand-alone workerd, generated from wrangler.toml, so that both homes run the same Worker.
import { readFileSync } from 'node:fs'
import { relative } from 'node:path'
import { inRoot } from './project.mjs'

/**
 * Values of bindings are no part of it: they come from the environment, and no secret is written to a file.
 * Folders and the address are given on the command line, under the names `data`, `demo` and `http`.
 * @param {{ configDir: string, module: string, vars: readonly string[], devWorker?: string, privateNetwork?: boolean }} options
 */
export function workerdConfig({ configDir, module, vars, devWorker, privateNetwork = false }) {
  const { date, flags, objects } = readWrangler()
  const embed = (path) => `embed ${quote(relative(configDir, path).replaceAll('\\', '/'))}`
  const texts = (names) => names.map((name) => `(name = ${quote(name)}, fromEnvironment = ${quote(name)})`)
  const services = [
    '(name = "main", worker = .main)',
    '(name = "data", disk = (writable = true))',
    ...(privateNetwork
      ? ['(name = "internet", network = (allow = ["public", "private"], tlsOptions = (trustBrowserCas = true)))']
      : []),
    ...(devWorker ? ['(name = "dev", worker = .dev)', '(name = "demo", disk = (writable = false))'] : []),
  ]
  const main = worker({
    date,
    flags,
    module: embed(module),
    bindings: [
      ...texts(vars),
      ...objects.map(({ name, className }) => `(name = ${quote(name)}, durableObjectNamespace = ${quote(className)})`),
    ],
    objects,
  })
  const dev =
    devWorker &&
    worker({
      date,
      flags,
      module: embed(devWorker),
      bindings: [...texts(vars), '(name = "MAIN", service = "main")', '(name = "DEMO", service = "demo")'],
      objects: [],
    })
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [${services.join(', ')}],
  sockets = [(name = "http", http = (), service = "${devWorker ? 'dev' : 'main'}")]
);
const main :Workerd.Worker = ${main};
${dev ? `const dev :Workerd.Worker = ${dev};\n` : ''}`
}

function worker({ date, flags, module, bindings, objects }) {
  // The unique key names the folder of an object's data: it must never change.
  const namespaces = objects.map(
    ({ className }) =>
      `(className = ${quote(className)}, uniqueKey = ${quote(`messkit-${className}`)}, enableSql = true)`,
  )
  const fields = [
    `modules = [(name = "index.js", esModule = ${module})]`,
    `compatibilityDate = ${quote(date)}`,
    `compatibilityFlags = [${flags.map(quote).join(', ')}]`,
    `bindings = [${bindings.join(', ')}]`,
    ...(objects.length > 0
      ? [`durableObjectNamespaces = [${namespaces.join(', ')}]`, 'durableObjectStorage = (localDisk = "data")']
      : []),
  ]
  return `(\n  ${fields.join(',\n  ')}\n)`
}

function readWrangler() {
  const text = readFileSync(inRoot('wrangler.toml'), 'utf8')
  const flags = /^compatibility_flags = \[(.*)\]$/m.exec(text)?.[1] ?? ''
  const objects = [...text.matchAll(/^\[\[durable_objects\.bindings\]\]\nname = "(\w+)"\nclass_name = "(\w+)"$/gm)]
  return {
    date: /^compatibility_date = "(.*)"$/m.exec(text)[1],
    flags: [...flags.matchAll(/"([^"]+)"/g)].map(([, flag]) => flag),
    objects: objects.map(([, name, className]) => ({ name, className })),
  }
}

const quote = (text) => JSON.stringify(text)
