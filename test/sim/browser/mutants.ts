import type { Mutant } from '../mutants.ts'

const CLIENT = 'packages/sdk/src/client'
const STORE = 'packages/sdk/src/store'

/** Bugs that other clients have shipped in what they do with tabs, databases and outboxes, planted into our own code. */
export const TAB_MUTANTS: readonly Mutant[] = [
  {
    name: 'delete before ack',
    file: `${CLIENT}/durable-topic.ts`,
    edits: [['below: this.#refused ?? publisher.list()[0]?.row ?? this.#expected,', 'below: this.#expected,']],
  },
  {
    name: 'success of a request taken for the commit',
    file: `${STORE}/indexeddb-database.ts`,
    edits: [['        result = { value }\n', '        resolve(value)\n']],
  },
  {
    name: 'stored said before it is',
    file: `${CLIENT}/own-messages.ts`,
    edits: [
      [
        'const rows = await this.#store.add(',
        "batch.resolve({ durability: 'disk' }); const rows = await this.#store.add(",
      ],
    ],
  },
  {
    name: 'wall-clock order',
    file: `${STORE}/indexeddb-outbox.ts`,
    edits: [['let { next } = counter', 'let next = Math.floor(Date.now())']],
  },
  {
    name: 'a write whose answer was lost is written again',
    file: `${STORE}/indexeddb-outbox.ts`,
    edits: [['if (again && additions[0] && (await isKnown(stores, additions[0], additions[0].topic))) return []', '']],
  },
  {
    name: 'cursor before handler',
    file: `${CLIENT}/consumer.ts`,
    edits: [
      [
        'const pending = handler(walk.message(read))',
        'this.#moved(makeCursor(epoch, walk.offset + 1), undefined); const pending = handler(walk.message(read))',
      ],
    ],
  },
  {
    name: 'a refused message blocks the rest',
    file: `${CLIENT}/durable-topic.ts`,
    edits: [['        this.#host.settle(this)\n        noted()\n', '        this.#host.settle(this)\n']],
  },
  {
    name: 'dropped on a refused token',
    file: `${CLIENT}/channel.ts`,
    edits: [
      [
        'this.#options.onConnection(state, error)',
        "if (state === 'stuck') this.outbox.publisher().clear(); this.#options.onConnection(state, error)",
      ],
    ],
  },
  {
    name: 'acks that were not heard are not looked up',
    file: `${CLIENT}/durable-outbox.ts`,
    edits: [['const waits = await this.#own.recall().catch((error) => this.report(error))', 'const waits = true']],
  },
  {
    name: 'a new leader takes what waits for done',
    file: `${CLIENT}/durable-topic.ts`,
    edits: [
      ['new Publisher(counter.publisher, counter.settled)', 'new Publisher(counter.publisher, counter.next - 1)'],
    ],
  },
  {
    name: 'a copy that outlives the right to read',
    file: `${CLIENT}/replica.ts`,
    edits: [['if (!retryable) this.#drop()', 'this.#running = retryable']],
  },
  {
    name: 'a copy that outlives all rights',
    file: `${CLIENT}/replica.ts`,
    edits: [["if (error?.code === 'forbidden') this.#drop()", 'if (error === null) this.#drop()']],
  },
]
