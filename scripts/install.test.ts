import { expect, test } from 'vitest'
import { isCurrent } from './install.mjs'
import { isEnough } from './node.mjs'
import { choose } from './platform-packages.mjs'

const lock = {
  packages: {
    '': {},
    'packages/sdk': { version: '0.1.0' },
    'node_modules/@messkit/sdk': { link: true },
    'node_modules/ws': { version: '8.0.0' },
    'node_modules/@esbuild/aix-ppc64': { version: '0.28.2', optional: true },
  },
}

test('what fits the lock file is not installed again, whatever is only for other systems', () => {
  const installed = {
    packages: { 'node_modules/@messkit/sdk': { link: true }, 'node_modules/ws': { version: '8.0.0' } },
  }

  expect(isCurrent(lock, installed)).toBe(true)
})

test.each([
  ['nothing', undefined],
  ['a broken install', { packages: {} }],
  [
    'another version',
    { packages: { 'node_modules/@messkit/sdk': { link: true }, 'node_modules/ws': { version: '7.9.0' } } },
  ],
])('%s is installed anew', (_, installed) => {
  expect(isCurrent(lock, installed)).toBe(false)
})

test.each([
  ['20.20.2', false],
  ['22.11.0', false],
  ['22.12.0', true],
  ['24.0.0', true],
])('Node %s can run the tools: %s', (version, enough) => {
  expect(isEnough(version)).toBe(enough)
})

const BIOME = [
  '@biomejs/cli-win32-x64',
  '@biomejs/cli-darwin-arm64',
  '@biomejs/cli-linux-x64',
  '@biomejs/cli-linux-x64-musl',
]
const ROLLDOWN = [
  '@rolldown/binding-linux-arm-gnueabihf',
  '@rolldown/binding-linux-x64-gnu',
  '@rolldown/binding-linux-x64-musl',
]
const WORKERD = ['@cloudflare/workerd-darwin-64', '@cloudflare/workerd-linux-64', '@cloudflare/workerd-windows-64']

test.each([
  [BIOME, 'linux', 'x64', 'glibc', '@biomejs/cli-linux-x64'],
  [BIOME, 'linux', 'x64', 'musl', '@biomejs/cli-linux-x64-musl'],
  [BIOME, 'darwin', 'arm64', undefined, '@biomejs/cli-darwin-arm64'],
  [ROLLDOWN, 'linux', 'x64', 'glibc', '@rolldown/binding-linux-x64-gnu'],
  [ROLLDOWN, 'linux', 'arm64', 'glibc', undefined],
  [WORKERD, 'win32', 'x64', undefined, '@cloudflare/workerd-windows-64'],
  [WORKERD, 'win32', 'arm64', undefined, '@cloudflare/workerd-windows-64'],
  [WORKERD, 'darwin', 'x64', undefined, '@cloudflare/workerd-darwin-64'],
] as const)('of %j, %s %s %s takes %s', (names, platform, arch, libc, wanted) => {
  expect(choose([...names], { platform, arch, libc })).toBe(wanted)
})
