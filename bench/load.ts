// The process that puts load on a server, as a user's would: apart from the server, and from whoever compares. Started by run.ts, one
// for each contender, and kept over all rounds, so that every measured round finds warm code.
import { connectBaseline } from './baseline/client.ts'
import type { Answer, Task } from './harness/loader.ts'
import { connectMesskit } from './harness/messkit.ts'
import { QUESTIONS } from './questions.ts'

const CONTENDERS = { messkit: connectMesskit, baseline: connectBaseline, bare: connectBaseline }

const answer = (text: Answer): unknown => process.send?.(text)

process.on('message', ({ contender, server, question: name, topic, messages }: Task) => {
  const question = QUESTIONS.find((question) => question.name === name)
  if (!question) throw new RangeError(`no question is called ${name}`)
  const connect = (topic: string) => CONTENDERS[contender](server, topic)
  question.measure(connect, topic, messages).then(
    (value) => answer({ value }),
    (error: unknown) => answer({ failure: String(error) }),
  )
})
process.on('disconnect', () => process.exit())
