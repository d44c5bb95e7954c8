import { parseArgs } from 'node:util'
import { decodeFrames } from './frames.ts'

/** `npm run fuzz -- --frames 5000000 --seed 7`: generated frames through the decoders of server and client. */
const { values } = parseArgs({
  options: { frames: { type: 'string', default: '5000000' }, seed: { type: 'string' } },
})
if (values.seed !== undefined) process.env.MESSKIT_SEED = values.seed
const startedAt = performance.now()
const { count, seed, methods, errors, taken, never, failures } = decodeFrames(Number(values.frames))

for (const failure of failures) console.error(failure)
const told = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ')
console.log(`understood: ${told(methods)}`)
console.log(`refused: ${told(errors)}`)
console.log(`taken by the client: ${told(taken)}`)
const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1)
console.log(
  `fuzz: ${count} frames in ${seconds} s, ${failures.length} violations, never reached: ${never.join(', ') || 'nothing'}; ${seed}`,
)
process.exitCode = failures.length === 0 && never.length === 0 ? 0 : 1
