/**
 * What a server of this kind is attacked by, and where each case is tested. What depends on a feature that is not there yet stands here with
 * the feature that will bring it. docs/reference/attacks.md is made from this table.
 */
export interface Attack {
  readonly id: string
  readonly what: string
  /** File and words of the title of a test. */
  readonly tests?: readonly (readonly [file: string, title: string])[]
  /** The feature that will bring the case. */
  readonly later?: string
}

const ATTACKS_FILE = 'test/edge/attacks.workerd.ts'
const ACCESS = 'test/edge/access.workerd.ts'
const TOKENS = 'packages/edge/src/auth/token.test.ts'
const UPGRADE = 'test/edge/upgrade.workerd.ts'
const LINK = 'test/edge/link.workerd.ts'

/** Tried over every method and every route. */
const everywhere = (title: string) => [[ATTACKS_FILE, title]] as const

export const ATTACKS: readonly Attack[] = [
  { id: 'A1', what: 'the same name in capitals', tests: everywhere("'A1 another case'") },
  { id: 'A2', what: 'composed, decomposed and wide forms of a letter', tests: everywhere("'A2 decomposed'") },
  {
    id: 'A3',
    what: 'letters that look alike, invisible ones, marks of direction',
    tests: everywhere("'A3 an invisible character'"),
  },
  { id: 'A4', what: 'NUL and line breaks in names', tests: everywhere("'A4 NUL'") },
  { id: 'A5', what: 'blanks and dots around a name', tests: everywhere("'A5 a blank behind'") },
  { id: 'A6', what: 'empty levels', tests: everywhere("'A6 an empty level'") },
  { id: 'A7', what: 'names that are too long, and none that is cut', tests: everywhere("'A7 cut where the bound is'") },
  { id: 'A8', what: 'names encoded once, twice, overlong', tests: everywhere("'A8 encoded twice'") },
  { id: 'A9', what: 'ways up a path', tests: everywhere("'A9 a way up'") },
  {
    id: 'A10',
    what: 'names that JavaScript knows',
    tests: [
      [ATTACKS_FILE, "'A10 of the prototype'"],
      ['packages/edge/src/acl/grants.test.ts', 'names of the prototype are names like any other'],
    ],
  },
  { id: 'A11', what: 'reserved names', tests: everywhere("'A11 reserved'") },
  { id: 'A12', what: 'names that are no text, or stand there twice', tests: everywhere('A12 a name that is no text') },
  {
    id: 'A13',
    what: 'neighbours with the same beginning',
    tests: everywhere("'A13 a neighbour with the same beginning'"),
  },

  { id: 'B1', what: 'publishing to a pattern', tests: everywhere("'B1 a pattern'") },
  { id: 'B2', what: 'subscribing to patterns', tests: everywhere("'B2 everything'") },
  {
    id: 'B3',
    what: 'what is denied inside what is allowed',
    tests: everywhere("'B3 what is denied inside what is allowed'"),
  },
  {
    id: 'B4',
    what: 'users whose name is a pattern or a placeholder',
    tests: everywhere('D13, B4 a user who is called'),
  },
  {
    id: 'B5',
    what: 'users whose names fall together once they are made plain',
    tests: [['packages/edge/src/acl/compile.test.ts', 'no name of a user or group is taken for another one']],
  },
  { id: 'B6', what: 'a placeholder in what is asked', tests: everywhere("'B6 a placeholder'") },
  {
    id: 'B7',
    what: 'patterns that take for ever',
    tests: [
      ['packages/edge/src/acl/levels.test.ts', 'a pattern of nothing but wildcards does not take long'],
      ['packages/edge/src/acl/host-pattern.test.ts', 'no pattern takes long'],
    ],
  },
  {
    id: 'B8',
    what: 'regular expressions near hostile input: there are none',
    tests: [['packages/edge/src/acl/host-pattern.test.ts', 'matches what a regular expression matches as a whole']],
  },

  {
    id: 'C1',
    what: 'consuming through a queue what a topic refuses',
    tests: everywhere('C1, C6 a topic and a queue of one name'),
  },
  { id: 'C2', what: 'a farewell that is published after its writer lost the right', later: 'presence' },
  {
    id: 'C3',
    what: 'history by offset, cursor, from the start or from behind',
    tests: everywhere('C3 nothing is read by offset'),
  },
  { id: 'C4', what: 'a cursor of another topic or user', tests: everywhere('C4 a cursor is a position and no right') },
  { id: 'C5', what: 'reading state that was made from messages', later: 'last values' },
  { id: 'C6', what: 'moving jobs between queues', tests: everywhere('C1, C6 a topic and a queue of one name') },
  {
    id: 'C7',
    what: 'asking what there is',
    tests: everywhere('C7, C8 what is there and what is not are answered alike'),
  },
  {
    id: 'C8',
    what: 'telling by the error what there is',
    tests: everywhere('C7, C8 what is there and what is not are answered alike'),
  },
  { id: 'C9', what: 'guessing where others get their answers', later: 'requests and replies' },
  {
    id: 'C10',
    what: 'headers that make the server publish: there are none',
    tests: [[UPGRADE, 'passes nothing else on']],
  },
  { id: 'C11', what: 'hooks that run with more rights than who made them', later: 'webhooks' },
  { id: 'C12', what: 'the administrators’ routes', tests: everywhere('every method and every route has its line') },
  {
    id: 'C13',
    what: 'hiding one message among many',
    tests: everywhere('C13 in a frame of many messages each is judged'),
  },
  { id: 'C14', what: 'relays that hand on without looking', later: 'relays for very large topics' },
  {
    id: 'C15',
    what: 'an outbox that is sent after its user lost the right',
    tests: [['test/sdk/rights.test.ts', 'what was written offline is judged when it arrives']],
  },
  { id: 'C16', what: 'a right that ends before a message is due', later: 'schedules' },
  {
    id: 'C17',
    what: 'inner addresses and headers',
    tests: everywhere('C17 an object knows its visitor from the Worker alone'),
  },
  {
    id: 'C18',
    what: 'doors that were left open for development',
    tests: [['test/dev-server.test.ts', 'mints none for a GET, a form, or a user that is no name']],
  },

  {
    id: 'D1',
    what: 'tokens without a signature, or with another algorithm or key',
    tests: [
      [TOKENS, 'does not count with an algorithm that the key is not for'],
      [TOKENS, 'cannot be made with the public key as a secret'],
    ],
  },
  { id: 'D2', what: 'tokens of others, or for others', tests: [[UPGRADE, 'a token for another audience']] },
  {
    id: 'D3',
    what: 'tokens out of their time, or with times that are none',
    tests: [[UPGRADE, 'a token without an end']],
  },
  {
    id: 'D4',
    what: 'a token that ends while its link lives: idle, busy, out of memory',
    tests: [
      [LINK, 'ends a link when its token does, by the alarm'],
      [LINK, 'ends a link at the next event if the alarm never rang'],
      [ATTACKS_FILE, 'D4 a token that ends while its object is out of memory'],
    ],
  },
  {
    id: 'D5',
    what: 'renewing as somebody else',
    tests: [[LINK, 'goes on with a newer token of the same user, and of nobody else']],
  },
  {
    id: 'D6',
    what: 'tokens and users that were revoked',
    tests: [[ACCESS, 'a token, a user and a group that are revoked count no more']],
  },
  {
    id: 'D7',
    what: 'tickets in addresses: there are none, a token never stands in a URL',
    tests: [['packages/edge/src/auth/bearer.test.ts', 'reads the token beside the protocol']],
  },
  {
    id: 'D8',
    what: 'a token for one thing used for another',
    tests: [[ACCESS, 'a token narrows what its user may do']],
  },
  {
    id: 'D9',
    what: 'groups and rights that one gives oneself',
    tests: everywhere('D9 groups and rights that a client gives itself'),
  },
  {
    id: 'D10',
    what: 'identities that are glued together ambiguously',
    tests: [[TOKENS, 'names the same user by the same key, and nobody else']],
  },
  {
    id: 'D11',
    what: 'a broken header that makes one anonymous',
    tests: everywhere('D11 a header of authorisation that is none'),
  },
  { id: 'D12', what: 'pages of other origins', tests: everywhere('D12 a page of another origin gets nowhere') },
  {
    id: 'D13',
    what: 'users who are called like a group or a keyword',
    tests: everywhere('D13, B4 a user who is called'),
  },

  {
    id: 'E1',
    what: 'taking a right away in a storm of messages',
    tests: [[ACCESS, 'is taken away two hundred times under a storm of messages']],
  },
  {
    id: 'E2',
    what: 'taking it away while somebody is gone',
    tests: everywhere('E2, G2 what was taken away while somebody was gone'),
  },
  {
    id: 'E3',
    what: 'taking it away through a group',
    tests: [[ACCESS, 'is taken away two hundred times under a storm of messages']],
  },
  { id: 'E4', what: 'taking it away further up', tests: everywhere('E4 a change above reaches what is below it') },
  { id: 'E5', what: 'a policy with one bad line', tests: [[ACCESS, 'one bad line refuses the whole change']] },
  {
    id: 'E6',
    what: 'a group that nobody knows',
    tests: [['packages/edge/src/acl/lint.test.ts', 'a group that nobody knows is told']],
  },
  {
    id: 'E7',
    what: 'a deny behind a wider allow',
    tests: [['test/acl/lint.test.ts', 'a rule that is called dead never decides']],
  },
  {
    id: 'E8',
    what: 'giving what one does not hold',
    tests: [
      [ACCESS, 'nobody gives what they do not hold, and the last administrator stays one'],
      ['test/edge/admin.workerd.ts', 'what others gave there may stay, and be taken away, but not be moved or widened'],
    ],
  },
  { id: 'E9', what: 'joining a group by oneself', tests: everywhere('every method and every route has its line') },
  { id: 'E10', what: 'two who change a policy at once', tests: [[ACCESS, 'one bad line refuses the whole change']] },
  { id: 'E11', what: 'passing for the owner', later: 'topics with owners' },
  {
    id: 'E12',
    what: 'an answer for one that is given to another',
    tests: [
      ['test/acl/equivalence.test.ts', 'compiled rules answer what a plain scan of them answers'],
      ['packages/edge/src/acl/compile.test.ts', 'no name of a user or group is taken for another one'],
    ],
  },
  {
    id: 'E13',
    what: 'an object that goes by an old policy',
    tests: [
      [ATTACKS_FILE, 'E13 an object that was out of memory while the policy changed'],
      ['test/edge/lease.workerd.ts', 'a topic that could not ask for the policy for 30 s refuses everybody'],
    ],
  },

  { id: 'F1', what: 'large policies', tests: [['bench/policy-cost.ts', 'publish2000']] },
  {
    id: 'F2',
    what: 'names without end',
    tests: [['test/edge/strangers.test.ts', 'ten thousand topics that a user may not use make no object and no row']],
  },
  {
    id: 'F3',
    what: 'storms of refusals',
    tests: [['test/edge/audit.workerd.ts', 'a storm of refusals costs few rows']],
  },
  {
    id: 'F4',
    what: 'coming at the same time where one place is left',
    tests: [
      ['test/edge/limits.workerd.ts', 'whoever comes at the same time as others gets no more places than there are'],
    ],
  },
  {
    id: 'F5',
    what: 'coming back to be counted anew',
    tests: [['test/edge/limits.workerd.ts', 'what was published counts on when the object has slept']],
  },
  {
    id: 'F6',
    what: 'a forged address',
    tests: [
      ['test/edge/one-machine.test.ts', 'the peer is the other end of the connection, and no header makes it another'],
      ['test/edge/limits.workerd.ts', 'connections are counted by address'],
    ],
  },
  {
    id: 'F7',
    what: 'limits that are no numbers',
    tests: [['packages/edge/src/acl/parse.test.ts', 'limit-%s is %s, and the line is told']],
  },

  {
    id: 'G1',
    what: 'reading back beyond what was granted',
    tests: [[ACCESS, 'history begins where the topic learned of the grant']],
  },
  {
    id: 'G2',
    what: 'reading back one’s own after the right was gone',
    tests: everywhere('E2, G2 what was taken away while somebody was gone'),
  },
  { id: 'G3', what: 'reading what was deleted', later: 'deleting single messages' },
  { id: 'G4', what: 'taking one right for the other', tests: everywhere('G4 to subscribe is not to read back') },
  { id: 'G5', what: 'archives', later: 'archives' },
]
