// The process that puts load on a queue, as a user's would: enqueues and works, apart from what keeps the jobs. Started by run.ts, one for
// each contender, and kept over all rounds, so that every measured round finds warm code.
import { connectBullMQ } from './bullmq.ts'
import { connectMesskit } from './messkit.ts'
import { QUEUE_QUESTIONS } from './questions.ts'

export interface QueueTask {
  readonly contender: 'messkit' | 'bullmq'
  readonly server: { readonly url: string; readonly token: string }
  readonly question: string
  readonly queue: string
}

const CONTENDERS = { messkit: connectMesskit, bullmq: connectBullMQ }

process.on('message', ({ contender, server, question: name, queue }: QueueTask) => {
  const question = QUEUE_QUESTIONS.find((question) => question.name === name)
  if (!question) throw new RangeError(`no question is called ${name}`)
  const connect = (queue: string) => CONTENDERS[contender](server, queue)
  question.measure(connect, queue, question.jobs[contender]).then(
    (value) => process.send?.({ value }),
    (error: unknown) => process.send?.({ failure: String(error) }),
  )
})
process.on('disconnect', () => process.exit())
