// Finds a browser of the Chromium family. Tests that need one fail without it and say how to get one; they are never skipped.
import { accessSync, constants, existsSync, readdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import { Failure } from './project.mjs'

const { env, platform } = process
const DEEP = 6 // Playwright's cache: chromium-1234/chrome-mac-arm64/Google Chrome for Testing.app/Contents/MacOS/…

/** The path of the browser; throws a {@link Failure} with the command that gets one. */
export function chromiumPath() {
  if (env.CHROMIUM_PATH) {
    if (isExecutable(env.CHROMIUM_PATH)) return env.CHROMIUM_PATH
    throw new Failure(
      `CHROMIUM_PATH is ${env.CHROMIUM_PATH}, and there is no program: correct it, or unset it to have a browser looked for.`,
    )
  }
  const found = findChromium()
  if (found !== undefined) return found
  throw new Failure(`no Chromium, Chrome or Edge found: ${howToGetOne()}, or set CHROMIUM_PATH.`)
}

export function findChromium() {
  return inPlaywrightCache() ?? installed().find(isExecutable)
}

/** Flags for every browser that a test starts: no traffic of its own, and a sandbox wherever one is possible. */
export function chromiumArgs() {
  const quiet = [
    '--disable-gpu',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--no-first-run',
  ]
  return process.getuid?.() === 0 ? ['--no-sandbox', ...quiet] : quiet // Chromium refuses to run as root with its sandbox
}

function inPlaywrightCache() {
  const names = { win32: ['chrome.exe'], darwin: ['Chromium', 'Google Chrome for Testing'] }[platform] ?? ['chrome']
  const folders = list(playwrightCache()).filter((name) => /^chromium-\d+$/.test(name))
  const newestFirst = folders.sort((a, b) => Number(b.slice(9)) - Number(a.slice(9)))
  for (const folder of newestFirst) {
    const found = search(join(playwrightCache(), folder), names, DEEP)
    if (found !== undefined) return found
  }
  return undefined
}

function playwrightCache() {
  if (env.PLAYWRIGHT_BROWSERS_PATH && env.PLAYWRIGHT_BROWSERS_PATH !== '0') return env.PLAYWRIGHT_BROWSERS_PATH
  if (platform === 'win32') return join(env.LOCALAPPDATA ?? join(homedir(), 'AppData', 'Local'), 'ms-playwright')
  if (platform === 'darwin') return join(homedir(), 'Library', 'Caches', 'ms-playwright')
  return join(env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'ms-playwright')
}

function installed() {
  if (platform === 'win32') {
    const roots = [env.PROGRAMFILES, env['PROGRAMFILES(X86)'], env.LOCALAPPDATA].filter(Boolean)
    const programs = [
      'Google\\Chrome\\Application\\chrome.exe',
      'Chromium\\Application\\chrome.exe',
      'Microsoft\\Edge\\Application\\msedge.exe',
    ]
    return programs.flatMap((program) => roots.map((root) => join(root, program)))
  }
  if (platform === 'darwin') {
    const programs = ['Google Chrome', 'Chromium', 'Microsoft Edge']
    return programs.flatMap((name) =>
      ['/Applications', join(homedir(), 'Applications')].map((root) =>
        join(root, `${name}.app/Contents/MacOS/${name}`),
      ),
    )
  }
  const names = [
    'chromium',
    'chromium-browser',
    'google-chrome-stable',
    'google-chrome',
    'microsoft-edge-stable',
    'microsoft-edge',
  ]
  const folders = [...(env.PATH ?? '').split(delimiter), '/usr/bin', '/usr/local/bin', '/snap/bin']
  return [
    ...names.flatMap((name) => folders.map((folder) => join(folder, name))),
    '/opt/google/chrome/chrome',
    '/opt/microsoft/msedge/msedge',
  ]
}

function howToGetOne() {
  const own = 'npx playwright install chromium'
  if (platform !== 'linux') return `run "${own}"`
  const managers = [
    ['/usr/bin/apt-get', 'sudo apt-get update && sudo apt-get install -y chromium'],
    ['/usr/bin/dnf', 'sudo dnf install -y chromium'],
    ['/usr/bin/pacman', 'sudo pacman -S chromium'],
    ['/sbin/apk', 'sudo apk add chromium'],
  ]
  const manager = managers.find(([path]) => existsSync(path))
  return `run "${manager?.[1] ?? own}"`
}

function search(folder, names, depth) {
  const entries = list(folder)
  const here = entries
    .filter((entry) => names.includes(entry))
    .map((entry) => join(folder, entry))
    .find(isExecutable)
  if (here !== undefined || depth === 0) return here
  for (const entry of entries.filter((entry) => /^(chrome-|.*\.app$|Contents$|MacOS$)/.test(entry))) {
    const found = search(join(folder, entry), names, depth - 1)
    if (found !== undefined) return found
  }
  return undefined
}

function list(folder) {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK)
    return existsSync(path)
  } catch {
    return false
  }
}
