// Tools with native parts keep them in one package per system, as optional dependencies. A lock file written on one system can
// lack the others', and npm skips optional packages silently, so they are looked for, tried, and fetched when they are missing.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { npm } from './npm.mjs'
import { Failure, inRoot, privateDir } from './project.mjs'

// How to see that a tool runs, as arguments of node. Not through .bin: some of those scripts would install on their own.
const importing = (name) => ['--input-type=module', '-e', `await import('${name}')`]
const executing = (expression) => ['-e', `require('node:child_process').execFileSync(${expression}, ['--version'])`]
const PROBES = {
  workerd: executing(`require('workerd').default`),
  '@biomejs/biome': ['node_modules/@biomejs/biome/bin/biome', '--version'],
  turbo: ['node_modules/turbo/bin/turbo', '--version'],
  esbuild: ['-e', `require('esbuild').transformSync('')`],
  rolldown: importing('rolldown'),
  typescript: ['node_modules/typescript/lib/tsc.js', '--version'],
  lightningcss: importing('lightningcss'),
  'oxc-parser': importing('oxc-parser'),
  'oxc-resolver': importing('oxc-resolver'),
}

export async function ensurePlatformPackages(node) {
  const stamp = stampOf(node)
  if (isStamped(stamp) && missingPackages().length === 0) return
  const missing = missingPackages()
  if (missing.length > 0) await fetchPackages(node, missing)
  for (const [name, probe] of Object.entries(PROBES)) await ensureRuns(node, name, probe)
  mkdirSync(privateDir, { recursive: true })
  writeFileSync(join(privateDir, 'platform.stamp'), stamp)
}

async function ensureRuns(node, name, probe) {
  if (!isInstalled(name) || tryProbe(node, probe) === undefined) return
  const wanted = packageFor(name) // there, but broken: fetched again once
  if (wanted !== undefined) await fetchPackages(node, [wanted])
  const reason = tryProbe(node, probe)
  if (reason === undefined) return
  throw new Failure(
    `${name} does not run on this system (${systemName()}): ${reason}. Remove node_modules and run the same command again.`,
  )
}

async function fetchPackages(node, packages) {
  console.error(`messkit: fetching ${packages.join(', ')} for ${systemName()} (up to 60 MB each).`)
  const flags = ['install', '--no-save', '--no-package-lock', '--no-audit', '--no-fund', '--loglevel=error', '--force']
  const { code } = await npm(node, [...flags, ...packages])
  const unfound = packages.filter(
    (spec) => !existsSync(inRoot('node_modules', spec.slice(0, spec.lastIndexOf('@')), 'package.json')),
  )
  if (code === 0 && unfound.length === 0) return
  throw new Failure(
    `could not fetch ${(unfound.length > 0 ? unfound : packages).join(', ')}: check the network, then run "npm install --no-save --no-package-lock ${packages.join(' ')}" and try again.`,
  )
}

function missingPackages() {
  return Object.keys(PROBES)
    .filter(isInstalled)
    .flatMap((name) => packageFor(name) ?? [])
    .filter((spec) => {
      const at = spec.lastIndexOf('@')
      const file = inRoot('node_modules', spec.slice(0, at), 'package.json')
      return !existsSync(file) || JSON.parse(readFileSync(file, 'utf8')).version !== spec.slice(at + 1)
    })
}

function packageFor(name) {
  const { optionalDependencies = {} } = JSON.parse(readFileSync(inRoot('node_modules', name, 'package.json'), 'utf8'))
  const { platform, arch } = process
  const chosen = choose(Object.keys(optionalDependencies), { platform, arch, libc: libc() })
  return chosen && `${chosen}@${optionalDependencies[chosen]}`
}

/**
 * The package for a system, by its name: `@turbo/linux-64`, `lightningcss-linux-x64-musl`, `@cloudflare/workerd-windows-64` …
 * @param {string[]} names
 * @param {{ platform: string, arch: string, libc: 'glibc' | 'musl' | undefined }} system
 */
export function choose(names, { platform, arch, libc }) {
  const systems = platform === 'win32' ? ['win32', 'windows'] : [platform]
  const arches = arch === 'x64' ? ['x64', '64'] : [arch]
  const words = (name) => name.split(/[-/]/)
  const fits = names.filter(
    (name) => words(name).some((word) => systems.includes(word)) && words(name).some((word) => arches.includes(word)),
  )
  const musl = fits.find((name) => words(name).includes('musl'))
  if (libc === 'musl' && musl !== undefined) return musl
  const other = fits.find((name) => !words(name).includes('musl'))
  if (other === undefined && platform === 'win32' && arch === 'arm64')
    return choose(names, { platform, arch: 'x64', libc }) // Windows emulates it
  return other
}

function libc() {
  if (process.platform !== 'linux') return undefined
  return process.report.getReport().header.glibcVersionRuntime === undefined ? 'musl' : 'glibc'
}

/** Why it does not run, or undefined if it does. */
function tryProbe(node, args) {
  const { status, stderr, error } = spawnSync(node, args, {
    cwd: inRoot(),
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  if (status === 0) return undefined
  return error?.message ?? stderr.split('\n').find((line) => /error/i.test(line)) ?? `exit code ${status}`
}

const isInstalled = (name) => existsSync(inRoot('node_modules', name, 'package.json'))
const systemName = () => [process.platform, process.arch, libc()].filter(Boolean).join(' ')

function isStamped(stamp) {
  const file = join(privateDir, 'platform.stamp')
  return existsSync(file) && readFileSync(file, 'utf8') === stamp
}

function stampOf(node) {
  const installed = inRoot('node_modules', '.package-lock.json')
  const hash = createHash('sha256').update(existsSync(installed) ? readFileSync(installed) : '')
  return `${node} ${systemName()} ${hash.digest('hex')}\n`
}
