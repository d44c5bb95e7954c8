import { runServer, type TestServer } from '../support/server.ts'
import { APP_ORIGIN, AUDIENCE, goodToken, ISSUER, TARGET } from './case.ts'
import { makeKeys } from './cases/tokens.ts'
import { makeCorpus } from './corpus.ts'
import { FLOODS, memoryOf } from './floods.ts'
import { Player } from './play.ts'
import { answerOf, tell } from './rules.ts'
import { quantile, Witness } from './witness.ts'

/** Until the compilers of both sides have seen the path. */
const WARMUP_BEATS = 200
const BASELINE_BEATS = 300

export interface WitnessFigures {
  readonly published: number
  readonly delivered: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly baselineP99Ms: number
}

export interface CorpusResult {
  readonly cases: number
  readonly byAnswer: Readonly<Record<string, number>>
  readonly uncaught: number
  /** Lines that the runtime wrote about itself. */
  readonly ofTheRuntime: number
  readonly resets: number
  readonly witness: WitnessFigures
  /** In words, each with its case. */
  readonly failures: readonly string[]
}

/**
 * What the runtime writes about itself, and what no handler of ours could prevent: a tunnel that nobody offers; a frame that broke WebSocket's
 * rules before the socket was handed on, or while an answer was being sent; an alarm that is moved while it rings. Each ends its own
 * connection at most. They are counted apart.
 */
const OF_THE_RUNTIME = [
  /we lack a handler\. Did you remember to export a connect\(\)/,
  /Handler does not export a connect\(\) function/,
  /expected !currentlySending; another message send is already in progress/,
  /WebSocket protocol error; protocolError\.statusCode = 100[29]/,
  /^protocolError\.description = /,
  /warning: NOSENTRY SQLite alarm handler canceled with requestScheduledAlarm/,
  /^stack: (\S*workerd@\w+ ?)+; sentryErrorContext/,
  // What is kept of the log may begin in the middle of such a line.
  /^\S*@\w+; sentryErrorContext = jsgInternalError; wdErrId = \w+$/,
]

/** All cases, one after the other, while two pairs of healthy clients go on: one on the topic under attack, one on another. */
export async function playCorpus(): Promise<CorpusResult> {
  const keys = await makeKeys()
  const server = await runServer({
    TOKEN_ISSUER: ISSUER,
    TOKEN_AUDIENCE: AUDIENCE,
    TOKEN_JWKS: keys.jwks,
    ALLOWED_ORIGINS: APP_ORIGIN,
  })
  const player = new Player(server)
  const witnesses: Witness[] = []
  try {
    for (const topic of [TARGET, 'witness/elsewhere']) witnesses.push(await Witness.start(server, topic))
    const beat = () => Promise.all(witnesses.map((witness) => witness.beat()))
    const before = await baseline(witnesses)

    const corpus = await makeCorpus(keys, await goodToken())
    const byAnswer: Record<string, number> = {}
    const failures: string[] = []
    for (const one of corpus) {
      const expected = tell(answerOf(one.rule))
      const during = beat()
      const observed = await player.play(one)
      await during
      await beat()
      byAnswer[observed] = (byAnswer[observed] ?? 0) + 1
      const thrownAway = 'deaf' in one && one.deaf && observed === tell({ ended: true })
      if (observed !== expected && !thrownAway)
        failures.push(`${one.name}: ${observed} instead of ${expected} (${one.rule})`)
      const problems = witnesses.flatMap((witness) => witness.problems())
      if (problems.length > 0) {
        failures.push(`${one.name}: ${problems.join('; ')}`)
        break // whatever came after would be blamed on the wrong case
      }
    }
    const [target] = witnesses
    if (target && target.others !== player.stored)
      failures.push(`${player.stored} messages of cases were acked and ${target.others} delivered`)
    const { said, ofTheRuntime } = readLog(server)
    failures.push(...said.map((line) => `the server wrote: ${line}`))
    const resets = witnesses.filter((witness) => witness.problems().length > 0).length
    return {
      cases: corpus.length,
      byAnswer,
      uncaught: said.length,
      ofTheRuntime,
      resets,
      witness: figures(witnesses, before),
      failures,
    }
  } finally {
    player.end()
    for (const witness of witnesses) await witness.end()
    await server.end()
  }
}

export interface FloodFigures {
  readonly name: string
  readonly count: number
  readonly ms: number
  readonly rssBeforeMiB: number
  readonly rssAfterMiB: number
  readonly witnessP50Ms: number
  readonly witnessP99Ms: number
}

export interface FloodsResult {
  readonly floods: readonly FloodFigures[]
  /** Resident memory of the server: before, at its highest, after all floods, and after a smaller second round of them. */
  readonly rssMiB: { readonly before: number; readonly peak: number; readonly after: number; readonly again: number }
  readonly uncaught: number
  readonly ofTheRuntime: number
  readonly resets: number
  readonly witness: WitnessFigures
  readonly failures: readonly string[]
}

/** What the server may hold more after the floods: mostly pages that its allocators keep for the next ones. */
const GROWTH_MIB = 512
/** What it may hold still more after they come again: here a leak would show. */
const GROWTH_AGAIN_MIB = 64
const SHARE_AGAIN = 0.2

/**
 * All floods, one after the other, on a server of their own; the witnesses go on all the time.
 * @param share of what each flood sends when it is whole
 */
export async function playFloods(share = 1): Promise<FloodsResult> {
  const server = await runServer({ TOKEN_ISSUER: ISSUER, TOKEN_AUDIENCE: AUDIENCE })
  const witnesses: Witness[] = []
  try {
    for (const topic of [TARGET, 'witness/elsewhere']) witnesses.push(await Witness.start(server, topic))
    const baselined = await baseline(witnesses)
    const before = memoryOf(server.pid)
    const failures: string[] = []
    const play = async (part: number): Promise<FloodFigures[]> => {
      const played: FloodFigures[] = []
      for (const kind of FLOODS) {
        const { problems, ...figure } = await playFlood(kind, Math.ceil(kind.count * part), { server, witnesses })
        played.push(figure)
        failures.push(...problems.map((problem) => `${kind.name}: ${problem}`))
      }
      return played
    }

    const floods = await play(share)
    const after = memoryOf(server.pid)
    await play(share * SHARE_AGAIN)
    const again = memoryOf(server.pid)

    const { said, ofTheRuntime } = readLog(server)
    failures.push(...said.map((line) => `the server wrote: ${line}`))
    const rssMiB = { before: before.nowMiB, peak: again.peakMiB, after: after.nowMiB, again: again.nowMiB }
    if (rssMiB.after - rssMiB.before > GROWTH_MIB || rssMiB.again - rssMiB.after > GROWTH_AGAIN_MIB)
      failures.push(`the server grew: ${JSON.stringify(rssMiB)}`)
    const resets = witnesses.filter((witness) => witness.problems().length > 0).length
    const witness = figures(witnesses, baselined)
    return { floods, rssMiB, uncaught: said.length, ofTheRuntime, resets, witness, failures }
  } finally {
    for (const witness of witnesses) await witness.end()
    await server.end()
  }
}

async function playFlood(
  { name, run }: (typeof FLOODS)[number],
  count: number,
  { server, witnesses }: { server: TestServer; witnesses: readonly Witness[] },
): Promise<FloodFigures & { problems: readonly string[] }> {
  const rssBeforeMiB = memoryOf(server.pid).nowMiB
  const startedAt = performance.now()
  const [problems, spent] = await besides(witnesses, () => run(server, count))
  return {
    name,
    count,
    ms: Math.round(performance.now() - startedAt),
    rssBeforeMiB,
    rssAfterMiB: memoryOf(server.pid).nowMiB,
    witnessP50Ms: round(quantile(spent, 0.5)),
    witnessP99Ms: round(quantile(spent, 0.99)),
    problems: [...problems, ...witnesses.flatMap((witness) => witness.problems())],
  }
}

/** Beats go on until the work is done, and one more after it. */
async function besides<T>(witnesses: readonly Witness[], work: () => Promise<T>): Promise<[T, readonly number[]]> {
  const from = latencies(witnesses).length / witnesses.length
  let going = true
  const beating = (async () => {
    while (going) await Promise.all(witnesses.map((witness) => witness.beat()))
  })()
  try {
    const result = await work()
    going = false
    await beating
    await Promise.all(witnesses.map((witness) => witness.beat()))
    return [result, witnesses.flatMap(({ latenciesMs }) => latenciesMs.slice(from))]
  } finally {
    going = false
  }
}

async function baseline(witnesses: readonly Witness[]): Promise<readonly number[]> {
  const beats = async (count: number) => {
    for (let i = 0; i < count; i++) await Promise.all(witnesses.map((witness) => witness.beat()))
  }
  await beats(WARMUP_BEATS)
  for (const { latenciesMs } of witnesses) latenciesMs.length = 0
  await beats(BASELINE_BEATS)
  return latencies(witnesses)
}

/** The server's log: nothing that a client sends may cause a line. */
function readLog(server: TestServer): { said: string[]; ofTheRuntime: number } {
  const lines = server
    .stderr()
    .split('\n')
    .filter((line) => line.trim() !== '')
  const said = lines.filter((line) => !OF_THE_RUNTIME.some((known) => known.test(line)))
  return { said, ofTheRuntime: lines.length - said.length }
}

const latencies = (witnesses: readonly Witness[]): readonly number[] =>
  witnesses.flatMap(({ latenciesMs }) => latenciesMs)

function figures(witnesses: readonly Witness[], before: readonly number[]): WitnessFigures {
  const during = witnesses.flatMap(({ latenciesMs }) => latenciesMs.slice(before.length / witnesses.length))
  const sum = (of: (witness: Witness) => number) => witnesses.reduce((total, witness) => total + of(witness), 0)
  return {
    published: sum(({ published }) => published),
    delivered: sum(({ delivered }) => delivered),
    p50Ms: round(quantile(during, 0.5)),
    p99Ms: round(quantile(during, 0.99)),
    baselineP99Ms: round(quantile(before, 0.99)),
  }
}

const round = (ms: number): number => Math.round(ms * 100) / 100
