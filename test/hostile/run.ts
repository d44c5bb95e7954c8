import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { parseArgs } from 'node:util'
import { playCorpus, playFloods } from './campaign.ts'
import { decodeFrames } from './frames.ts'

/** `npm run hostile`: every case, every flood, and five million generated frames. `--out` keeps the figures. */
const { values } = parseArgs({
  options: {
    frames: { type: 'string', default: '5000000' },
    seed: { type: 'string' },
    share: { type: 'string', default: '1' },
    out: { type: 'string' },
  },
})
if (values.seed !== undefined) process.env.MESSKIT_SEED = values.seed

const corpus = await playCorpus()
const floods = await playFloods(Number(values.share))
const frames = decodeFrames(Number(values.frames))
const violations = [
  ...corpus.failures,
  ...floods.failures,
  ...frames.failures,
  ...frames.never.map((name) => `no frame led to ${name}`),
]
const uncaught = corpus.uncaught + floods.uncaught
const resets = corpus.resets + floods.resets

for (const violation of violations) console.error(violation)
if (values.out !== undefined) {
  mkdirSync(dirname(values.out), { recursive: true })
  const figures = {
    command: `npm run hostile -- --frames ${values.frames} --share ${values.share}`,
    date: new Date().toISOString(),
    cases: corpus.cases,
    byAnswer: corpus.byAnswer,
    uncaught,
    resets,
    witness: corpus.witness,
    floods: floods.floods,
    floodsWitness: floods.witness,
    floodsRssMiB: floods.rssMiB,
    ofTheRuntime: corpus.ofTheRuntime + floods.ofTheRuntime,
    frames: {
      count: frames.count,
      seed: frames.seed,
      methods: frames.methods,
      errors: frames.errors,
      taken: frames.taken,
    },
    violations,
  }
  writeFileSync(values.out, `${JSON.stringify(figures, null, 2)}\n`)
}
const { witness } = corpus
console.log(
  `hostile: ${corpus.cases} cases with ${Object.keys(corpus.byAnswer).length} answers, ${floods.floods.length} floods, ${frames.count} frames (${frames.seed}); ` +
    `${uncaught} uncaught, ${resets} resets; witness ${witness.delivered + floods.witness.delivered} of ${witness.published + floods.witness.published} delivered, ` +
    `p99 ${witness.p99Ms} ms (before ${witness.baselineP99Ms} ms); ${violations.length} violations`,
)
process.exitCode = violations.length === 0 ? 0 : 1
