/** Every bound of a policy and of what is asked of it, with its unit in its name. What goes over one is a {@link PolicyError}. */
export const ACL_BOUNDS = {
  /** A policy as text. 10,000 rules of 100 characters are a quarter of it. */
  policyChars: 4 * 1024 * 1024,
  /** One line, before lines are joined. The C++ broker reads {@link cppLineChars} and no more. */
  lineChars: 4_096,
  cppLineChars: 1_023,
  /** Lines that say something. */
  lines: 32_768,
  tokensPerLine: 512,
  rules: 16_384,
  ruleNumber: 2 ** 31 - 1,
  groups: 1_024,
  /** Members of all groups together. */
  members: 65_536,
  /** Groups inside of groups inside of groups. */
  groupDepth: 8,
  /** All groups a member is in, by way of others, over all members: what nesting can multiply. */
  memberships: 262_144,
  /** Levels of a pattern in the dialects that bring their own names; Messkit's names have eight. */
  patternLevels: 64,
  valuesPerProperty: 64,
  valueChars: 1_024,
  hostPatternChars: 256,
  /** States of the automaton that a pattern for host names becomes. */
  hostPatternStates: 2_048,
  hostNameChars: 255,
  /** Messages of a rate in one period: with it a bucket counts in whole numbers. */
  rateCount: 1_000_000_000,
  /** Connections of one user or address that can be counted. */
  connections: 65_536,
  /** Groups of one caller, from token and directory together. */
  groupsPerCaller: 10_000,
  /** What a caller may be called: a token's subject has 256 characters at most. */
  identityChars: 256,
  /** Problems that one error lists. */
  problems: 20,
  /** Pairs of rules that lint compares; above it lint says that it stopped. */
  lintComparisons: 1_000_000,
  lintFindings: 1_000,
  /** Steps that one explanation lists. */
  explainSteps: 1_000,

  grantRows: 16_384,
  /** Bits of a permission: they live in one 32-bit number. */
  grantActions: 31,
  grantTypes: 32,

  testsPerPolicy: 1_000,
  stepsPerTest: 1_000,
} as const
