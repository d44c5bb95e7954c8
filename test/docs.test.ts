import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, posix } from 'node:path'
import { createMess, type Mess } from '@messkit/sdk'
import { decodeRequest } from '@messkit/sdk/protocol'
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { pages, render } from '../scripts/docs.mjs'
import { ErrorFrame, framesOf, NOTIFICATIONS, RESULTS } from '../scripts/docs-protocol.mjs'
import { inRoot } from '../scripts/project.mjs'
import { makeToken, runServer, SECRET } from './support/server.ts'

const example = (name: string): Promise<unknown> => import(/* @vite-ignore */ inRoot(`docs/examples/${name}.ts`))
const read = (page: string): string => readFileSync(inRoot(page), 'utf8')

afterEach(() => {
  vi.restoreAllMocks()
})

describe('pages', () => {
  test.each(pages())('%s holds what its sources say; otherwise run: node scripts/docs.mjs', (page) => {
    const text = read(page)

    expect(render(page, text)).toBe(text)
  })

  test.each(pages())('%s shows no TypeScript that is not compiled', (page) => {
    const lines = read(page).split('\n')

    const strays = lines.filter(
      (line, i) => /^\s*```(ts|typescript|js|javascript)\b/.test(line) && !/^<!-- example: /.test(lines[i - 1] ?? ''),
    )

    expect(strays).toEqual([])
  })

  test.each(pages())('%s leads to nothing that is not there', (page) => {
    const links = [...read(page).matchAll(/\]\(([^)\s]+)\)|(?:src|href)="([^"]+)"/g)].map(
      ([, link, attribute]) => link ?? attribute ?? '',
    )

    const broken = links.filter((link) => !/^[a-z]+:/.test(link) && !leadsSomewhere(page, link))

    expect(broken).toEqual([])
  })
})

describe('examples', () => {
  test.each(['readme', 'embed', 'schema', 'connect', 'encrypt', 'schedules', 'queues', 'queue-results', 'queue-hooks'])(
    '%s prints what it says',
    async (name) => {
      const printed = listen()

      await example(name)

      expect(printed()).toEqual(promised(name))
    },
  )

  test('sync prints what it says, with a server that goes away and comes back', async () => {
    const server = await runServer()
    onTestFinished(() => server.end())
    const { tour } = (await example('sync')) as typeof import('../docs/examples/sync.ts')
    const printed = listen()

    await tour(createMess({ url: server.url, user: 'ana', token: () => makeToken() }), server)

    expect(printed()).toEqual(promised('sync'))
  })

  test('queues-server prints what it says, with a server that goes away and comes back', async () => {
    const [, policy = ''] = /this policy -->\n```\n([^`]*)```/.exec(read('docs/guide/work-queues.md')) ?? []
    const server = await runServer({ POLICY: policy })
    const open = (user: string): Mess =>
      createMess({ url: server.url, user, token: () => makeToken({ sub: user }), reconnect: { minMs: 20, maxMs: 100 } })
    const page = open('ana')
    const machine = open('resizer')
    onTestFinished(async () => {
      await Promise.all([page.close(), machine.close()])
      await server.end()
    })
    const { tour } = (await example('queues-server')) as typeof import('../docs/examples/queues-server.ts')
    const printed = listen()

    await tour({ page, machine }, server)

    expect(printed()).toEqual(promised('queues-server'))
  })

  test('admin prints what it says', async () => {
    const server = await runServer({ ADMINS: 'root', POLICY: '' })
    onTestFinished(() => server.end())
    const { administer, tour } = (await example('admin')) as typeof import('../docs/examples/admin.ts')
    const printed = listen()

    await tour(administer(server.url, () => makeToken({ sub: 'root' })))

    expect(printed()).toEqual(promised('admin'))
  })

  test('a server on one machine takes the tokens that the guide makes', async () => {
    const { serve } = (await example('one-machine')) as typeof import('../docs/examples/one-machine.ts')
    const { tokenFor } = (await example('token')) as typeof import('../docs/examples/token.ts')
    const dataDir = mkdtempSync(join(tmpdir(), 'messkit-docs-'))
    const server = await serve({ dataDir, secret: SECRET, port: 0 })
    onTestFinished(async () => {
      await server.kill()
      rmSync(dataDir, { recursive: true, force: true })
    })
    const mess = createMess({ url: server.url, user: 'ana', token: () => tokenFor('ana', SECRET) })
    onTestFinished(async () => void (await mess.close()))

    const ack = await mess.topic('notes').publish('milk')

    expect(ack.offset).toBe(0)
  })
})

describe('the protocol', () => {
  const asked = new Map<number, string>()
  const frames = framesOf(read('docs/reference/protocol.md'))

  test.each(frames)('$who says $text', ({ who, text }) => {
    const frame = JSON.parse(who === 'client' ? '{}' : text)
    if (who === 'client') {
      const request = decodeRequest(text)
      if ('method' in request) asked.set(request.id, request.method)
      else expect(request.fault.code).toBe('unknown_method')
    } else if (frame.error) expect(issuesOf(ErrorFrame, frame)).toBeUndefined()
    else if (frame.method) expect(issuesOf(NOTIFICATIONS[frame.method], frame.params)).toBeUndefined()
    else expect(issuesOf(RESULTS[asked.get(frame.id) ?? ''], frame.result)).toBeUndefined()
  })
})

interface Schema {
  readonly '~standard': { validate(value: unknown): unknown }
}

function issuesOf(schema: Schema | undefined, value: unknown): unknown {
  if (!schema) throw new Error('nobody has described this frame')
  return (schema['~standard'].validate(value) as { issues?: unknown }).issues
}

/** What is printed from now on, a line each. */
function listen(): () => string[] {
  for (const method of ['debug', 'warn', 'error'] as const) vi.spyOn(console, method).mockImplementation(() => {})
  const log = vi.spyOn(console, 'log').mockImplementation(() => {})
  return () => log.mock.calls.map((values) => values.join(' '))
}

/** What an example says that it prints, in order. */
function promised(name: string): string[] {
  return [...read(`docs/examples/${name}.ts`).matchAll(/^\s*\/\/ → (.*)$/gm)].map(([, line]) => line ?? '')
}

function leadsSomewhere(page: string, link: string): boolean {
  const [path = '', fragment] = link.split('#')
  const target = path === '' ? page : posix.normalize(posix.join(dirname(page), decodeURI(path)))
  if (!existsSync(inRoot(target))) return false
  return fragment === undefined || !target.endsWith('.md') || anchorsOf(read(target)).has(fragment)
}

/** As GitHub makes them. */
function anchorsOf(text: string): Set<string> {
  const headings = [...text.matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replaceAll(' ', '-'),
  )
  return new Set([...headings, ...[...text.matchAll(/<a id="([^"]+)">/g)].map(([, id = '']) => id)])
}
