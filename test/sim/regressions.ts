/**
 * Seeds that found a bug in our own code, and what it was. They are run with every change. A seed means the same history only while
 * the simulation draws the same numbers, and since these were found it has changed: they say what was met, and prove no more than others.
 */
export const REGRESSIONS = [
  { seed: 34, found: 'Credit was counted from the start of a row that the client cannot know, and ran out for good' },
  {
    seed: 40,
    found:
      'Joining segments moved the place where the log is cut backwards, so that a gap had been told for kept messages',
  },
  { seed: 47, found: 'Frames behind a refused first message were taken for a publisher that its home had forgotten' },
  {
    seed: 95,
    found: 'A stored message whose ack was lost was refused when it was sent again without the right to publish',
  },
  {
    seed: 257,
    found: 'Credit for what lay unhandled before a gap for want of a right fell short behind it, and ran out for good',
  },
  { seed: 278, found: 'What was handled while a subscription was asked for again gave no credit' },
  { seed: 316, found: 'A gap used up credit that nobody could give back' },
  { seed: 944, found: 'The error for a repeated publish frame made the client forget the answer to the first one' },
  { seed: 1069, found: 'Fates that passed over an unsettled message moved the publisher past it' },
  { seed: 1468, found: 'A refusal that was not counted yet was waited for' },
  { seed: 2100, found: 'A link whose token had expired while its home was out of memory was served once more' },
  {
    seed: 2283,
    found: 'An honest grant was cut down where a subscription went on inside a row, and credit ran out for good',
  },
  {
    seed: 20591,
    found:
      'A gap up to the end of the log named a position before it, where the store showed a row that went on behind',
  },
] as const

/** The same of simulated tabs. */
export const TAB_REGRESSIONS = [
  { seed: 36, found: 'The copy of a topic stayed on the disk of a user who had lost every right' },
  {
    seed: 3288,
    found: 'A refusal of an earlier lead was recorded by the same tab when it led again, and had sent the message anew',
  },
  { seed: 3545, found: 'Tabs that heard a stopped leader’s return believed its count of unsent messages for ever' },
  { seed: 4672, found: 'The same, and no other tab ever told them better' },
  { seed: 500352, found: 'A name of a resumed subscription had two holders after the database was lost' },
  { seed: 3005157, found: 'The checker forgot what was handled, where a position was written down late' },
] as const
