// Runs npm under a chosen Node, so that packages see the Node that will run them.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { root } from './project.mjs'

/** Resolves to npm's exit code and what it said on stderr. */
export function npm(node, args, { cwd = root } = {}) {
  const [command, ...first] = npmCommand(node)
  const child = spawn(command, [...first, ...args], {
    cwd,
    stdio: ['ignore', 'ignore', 'pipe'],
    env: withNode(node),
    shell: command === 'npm' && process.platform === 'win32', // npm.cmd runs in a shell only
  })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr = (stderr + text).slice(-8_000)
  })
  return new Promise((resolve) => {
    child.on('error', (error) => resolve({ code: 1, stderr: error.message }))
    child.on('close', (code) => resolve({ code: code ?? 1, stderr }))
  })
}

/** The environment in which `node` means this Node, and the tools of the repository are commands. */
export function withNode(node) {
  const key = Object.keys(process.env).find((name) => name.toUpperCase() === 'PATH') ?? 'PATH'
  const path = [dirname(node), join(root, 'node_modules', '.bin'), process.env[key]].filter(Boolean).join(delimiter)
  return { ...process.env, [key]: path }
}

// npm is a script: where it lies is known when npm started us, and beside an installed Node otherwise.
function npmCommand(node) {
  const beside = dirname(process.execPath)
  const places = [
    process.env.npm_execpath,
    join(beside, 'node_modules', 'npm', 'bin', 'npm-cli.js'),
    join(beside, '..', 'lib', 'node_modules', 'npm', 'bin', 'npm-cli.js'),
  ]
  const script = places.find((place) => place !== undefined && /npm-cli\.c?js$/.test(place) && existsSync(place))
  return script === undefined ? ['npm'] : [node, script]
}
