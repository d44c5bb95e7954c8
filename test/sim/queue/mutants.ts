import type { Mutant } from '../mutants.ts'

const BROKER = 'packages/sdk/src/broker'
const mutant = (name: string, file: string, ...edits: Mutant['edits']): Mutant => ({
  name,
  file: `${BROKER}/${file}`,
  edits,
})

/** The same for queues: ways in which others have lost jobs, or run them twice. */
export const QUEUE_MUTANTS: readonly Mutant[] = [
  mutant('jobs acked before their commit', 'queue.ts', [
    'if (this.#jobs.empty && !this.#inFlight) return answer(link, id, result)',
    'if (this.#jobs.empty || !this.#inFlight) return answer(link, id, result)',
  ]),
  mutant('no fencing', 'jobs.ts', [
    'const held = this.#held.get(id)\n    return held?.claim.token === token ? held : undefined',
    'const held = this.#held.get(id)\n    return token > 0 ? held : undefined',
  ]),
  mutant('a late ack that counts although somebody else has the job', 'jobs.ts', [
    "lease(_: Allowed<'work'>, job: Job, claim: Claim, nowMs: number): void {\n    this.#take(job)\n    this.#lost.delete(job.id)",
    "lease(_: Allowed<'work'>, job: Job, claim: Claim, nowMs: number): void {\n    this.#take(job)",
  ]),
  mutant('leases forgotten by a home that wakes', 'queue-facts.ts', [
    'if (job.turn !== turn) continue',
    'if (job.turn >= turn) continue',
  ]),
  mutant('tokens that begin anew', 'jobs.ts', ['token: this.#token,\n      paused', 'token: 0,\n      paused']),
  mutant('a worker that is gone loses its jobs at once', 'queue.ts', [
    'if (worker.goneAt + LIMITS.workerGraceMs > nowMs) continue',
    '',
  ]),
  mutant('a job that goes back while it is on its way to its worker', 'queue.ts', [
    '(worker.link === undefined || claim.link !== worker.link) &&',
    '',
  ]),
  mutant('a loss that is forgotten with the home that knew of it', 'jobs.ts', [
    'job.turn++\n    this.#recount(job)\n    this.#touch(job)\n    this.#putBack(job)\n    this.#lost',
    'this.#putBack(job)\n    this.#lost',
  ]),
  mutant('a lease that ends for nobody', 'queue.ts', ['if (nowMs >= jobs.nextDeadline) this.#overdue(nowMs)', '']),
  mutant('a page that gives away what is held', 'jobs.ts', [
    'if (this.#touched.has(row.id) || this.#held.has(row.id)) continue',
    'if (this.#touched.has(row.id)) continue',
  ]),
  mutant('marks that die with their jobs', 'jobs.ts', [
    'marks: marksOf(this.#publishers, this.#changed)',
    'marks: marksOf(this.#publishers, [])',
  ]),
  mutant('a group of which any number is held', 'groups.ts', ['group.held++\n', '']),
  mutant('a group that goes on while one of it is tried again', 'jobs.ts', [
    'if (isStrict(job)) this.#waitInPlace(job, untilMs)',
    'if (job.turn < 0) this.#waitInPlace(job, untilMs)',
  ]),
  mutant('a group of which nothing is held after a home woke', 'jobs.ts', ['this.#groups.began(held.job)\n', '']),
  mutant('a job of a group that comes back behind the others', 'jobs.ts', [
    'if (groupOf(job) === undefined || !this.#groups.park(job)) this.#lane(job).add(job)',
    'this.#lane(job).add(job)',
  ]),
  mutant('a long backlog of a group that is passed by what came later', 'groups.ts', [
    'line.gap ? isBehind(job, line.gap.from) : ',
    '',
  ]),
  mutant('keys that are free although their job is not over', 'keys.ts', [
    '(isOver(state) && state.due <= nowMs)',
    'state.due <= nowMs',
  ]),
  mutant('keys that are looked up without what was decided meanwhile', 'keys.ts', [
    'const known = this.#dirty.get(text) ?? this.#touched.get(text)',
    'const known = this.#dirty.get(text + text)',
  ]),
  mutant('keys whose time is over with their job', 'keys.ts', [
    "const counts = mode === 'drop' && at + ttlMs > nowMs",
    "const counts = mode === 'drop' && at + ttlMs < 0",
  ]),
  mutant('keys that do not follow their job', 'jobs.ts', ['if (job.options.dedupe) this.#takeKey(job)', '']),
  mutant('keys that end with a job that has lost them', 'jobs.ts', [
    'waiting.options = options\n      this.#touch(waiting)',
    'this.#touch(waiting)',
  ]),
  mutant('marks of what was replaced, older ones last', 'jobs.ts', [
    "this.#stored(fates, by, { first: first + run, count: i - run, nowMs })\n        run = i + 1\n        if ('fate' in fate) this.#keyed(fates, by, fate, nowMs)",
    "if ('fate' in fate) this.#keyed(fates, by, fate, nowMs)\n        this.#stored(fates, by, { first: first + run, count: i - run, nowMs })\n        run = i + 1\n        if ('fate' in fate) continue",
  ]),
  mutant('a payload that is replaced in memory alone', 'jobs.ts', ['body, newBody: true,', 'body,']),
  mutant('retained jobs that are deleted when they are done', 'jobs.ts', [
    'if (job.options.retain) this.#retain(job, job.options.retain.ms, nowMs, result)\n    else this.#end(job, nowMs)',
    'this.#end(job, nowMs)',
  ]),
  mutant('results that are not written', 'jobs.ts', ['job.extra = { ...job.extra, result }', '']),
  mutant('a sweep that comes too early', 'jobs.ts', [
    'const over = until <= nowMs ||',
    'const over = until <= nowMs + LIMITS.retainMs ||',
  ]),
  mutant('a state that is not written', 'jobs.ts', [
    'this.#putBytes += state.length\n    this.#touch(job)',
    'this.#putBytes += state.length',
  ]),
  mutant('a retry that is dropped', 'jobs.ts', [
    'if (job.lane >= CLAIMABLE) return\n    this.#queue(job)',
    'if (job.lane >= CLAIMABLE) return',
  ]),
  mutant('a claim whose leases end by the grace of a worker that is gone', 'queue.ts', [
    'for (const { claim } of this.#jobs.held) if (!isPull(claim.worker)) this.#holder',
    'for (const { claim } of this.#jobs.held) this.#holder',
  ]),
  mutant('a next tick that is written after its job', 'jobs.ts', [
    '...this.schedules.seal()]',
    '...(put.length === 0 ? this.schedules.seal() : [])]',
  ]),
  mutant('ticks to catch up on that are forgotten', 'schedules.ts', [
    'const first = pending[0] ?? next\n',
    'const first = next\n',
  ]),
  mutant('a tick that was waited for and is not looked for again', 'schedules.ts', [
    'if (come.length < most) come.push(next)',
    '',
  ]),
  mutant('ticks that come again where a clock is put back', 'schedules.ts', [
    'after(Math.max(nowMs, reached))',
    'after(nowMs)',
  ]),
  mutant('a job that is looked for where it was first', 'schedules.ts', [
    'this.#setOpen(schedule, undefined)\n    this.#touch(schedule)\n  }\n\n  /** A job is over.',
    'this.#setOpen(schedule, undefined)\n  }\n\n  /** A job is over.',
  ]),
  mutant('a run by hand that is not recognised when it comes again', 'schedules.ts', [
    'schedule?.runs.find(([name]) => name === run)',
    'schedule?.runs.find(([name]) => name.length > run.length)',
  ]),
]
