import { describe, expect, it } from 'vitest'
import { generator } from '../../../../test/support/random.ts'
import { LIMITS } from '../protocol/limits.ts'
import { timetable, timingFault } from './timetable.ts'

const utc = (text: string): number => Date.parse(`${text}Z`)
const texts = (ticks: readonly number[]): string[] => ticks.map((at) => new Date(at).toISOString().slice(0, 16))

/** Every tick behind `from` and before `to`. */
function between(timing: Parameters<typeof timetable>[0], from: string, to: string): number[] {
  const { after } = timetable(timing, 0)
  const ticks: number[] = []
  for (let at = after(utc(from)); at !== undefined && at < utc(to); at = after(at)) ticks.push(at)
  return ticks
}

interface Case {
  readonly what: string
  readonly timeZone: string
  readonly cron: string
  /** In UTC: from midnight of a day on which clocks are changed, as that zone has it, to the next. */
  readonly from: string
  readonly to: string
  readonly ticks: readonly string[]
}

/** Hours or quarters of an hour in UTC, which is what goes by, whatever clocks on walls show. */
function every(minutes: number, from: string, to: string): string[] {
  const ticks: number[] = []
  for (let at = utc(from); at < utc(to); at += minutes * 60_000) ticks.push(at)
  return texts(ticks)
}

const BERLIN = { timeZone: 'Europe/Berlin' }
const NEW_YORK = { timeZone: 'America/New_York' }
const LORD_HOWE = { timeZone: 'Australia/Lord_Howe' }
// Berlin: 02:00 becomes 03:00 on 28 March 2027, and 03:00 becomes 02:00 on 31 October 2027.
const BERLIN_GAP = { ...BERLIN, from: '2027-03-27T22:59', to: '2027-03-28T22:00' }
const BERLIN_FOLD = { ...BERLIN, from: '2027-10-30T21:59', to: '2027-10-31T23:00' }
// New York: 02:00 becomes 03:00 on 14 March 2027, and 02:00 becomes 01:00 on 7 November 2027.
const NEW_YORK_GAP = { ...NEW_YORK, from: '2027-03-14T04:59', to: '2027-03-15T04:00' }
const NEW_YORK_FOLD = { ...NEW_YORK, from: '2027-11-07T03:59', to: '2027-11-08T05:00' }
// Lord Howe, half an hour: 02:00 becomes 02:30 on 3 October 2027, and 02:00 becomes 01:30 on 4 April 2027.
const LORD_HOWE_GAP = { ...LORD_HOWE, from: '2027-10-02T13:29', to: '2027-10-03T13:00' }
const LORD_HOWE_FOLD = { ...LORD_HOWE, from: '2027-04-03T12:59', to: '2027-04-04T13:30' }

const CASES: readonly Case[] = [
  // A single time of day in the gap comes when the gap is over, on that day.
  { what: '02:30 daily, in the gap', cron: '30 2 * * *', ...BERLIN_GAP, ticks: ['2027-03-28T01:00'] },
  { what: '02:30 daily, in the gap', cron: '30 2 * * *', ...NEW_YORK_GAP, ticks: ['2027-03-14T07:00'] },
  { what: '02:15 daily, in the gap', cron: '15 2 * * *', ...LORD_HOWE_GAP, ticks: ['2027-10-02T15:30'] },
  // In the fold it comes once, the first time.
  { what: '02:30 daily, in the fold', cron: '30 2 * * *', ...BERLIN_FOLD, ticks: ['2027-10-31T00:30'] },
  { what: '01:30 daily, in the fold', cron: '30 1 * * *', ...NEW_YORK_FOLD, ticks: ['2027-11-07T05:30'] },
  { what: '01:45 daily, in the fold', cron: '45 1 * * *', ...LORD_HOWE_FOLD, ticks: ['2027-04-03T14:45'] },
  // At the edges.
  { what: '02:00 daily, where the gap begins', cron: '0 2 * * *', ...BERLIN_GAP, ticks: ['2027-03-28T01:00'] },
  { what: '03:00 daily, where the gap ends', cron: '0 3 * * *', ...BERLIN_GAP, ticks: ['2027-03-28T01:00'] },
  { what: '03:00 daily, behind the fold', cron: '0 3 * * *', ...BERLIN_FOLD, ticks: ['2027-10-31T02:00'] },
  // What comes again and again goes by the time that passes: 23 hours and 25.
  {
    what: 'hourly, in the gap',
    cron: '0 * * * *',
    ...BERLIN_GAP,
    ticks: every(60, '2027-03-27T23:00', '2027-03-28T22:00'),
  },
  {
    what: 'hourly, in the fold',
    cron: '0 * * * *',
    ...BERLIN_FOLD,
    ticks: every(60, '2027-10-30T22:00', '2027-10-31T23:00'),
  },
  {
    what: 'hourly, in the gap',
    cron: '0 * * * *',
    ...NEW_YORK_GAP,
    ticks: every(60, '2027-03-14T05:00', '2027-03-15T04:00'),
  },
  {
    what: 'hourly, in the fold',
    cron: '0 * * * *',
    ...NEW_YORK_FOLD,
    ticks: every(60, '2027-11-07T04:00', '2027-11-08T05:00'),
  },
  {
    what: 'every 15 min, in the gap',
    cron: '*/15 * * * *',
    ...BERLIN_GAP,
    ticks: every(15, '2027-03-27T23:00', '2027-03-28T22:00'),
  },
  {
    what: 'every 15 min, in the fold',
    cron: '*/15 * * * *',
    ...BERLIN_FOLD,
    ticks: every(15, '2027-10-30T22:00', '2027-10-31T23:00'),
  },
  {
    what: 'every 15 min, in the gap',
    cron: '*/15 * * * *',
    ...NEW_YORK_GAP,
    ticks: every(15, '2027-03-14T05:00', '2027-03-15T04:00'),
  },
  {
    what: 'every 15 min, in the fold',
    cron: '*/15 * * * *',
    ...NEW_YORK_FOLD,
    ticks: every(15, '2027-11-07T04:00', '2027-11-08T05:00'),
  },
  {
    what: 'every 15 min, in the gap',
    cron: '*/15 * * * *',
    ...LORD_HOWE_GAP,
    ticks: every(15, '2027-10-02T13:30', '2027-10-03T13:00'),
  },
  {
    what: 'every 15 min, in the fold',
    cron: '*/15 * * * *',
    ...LORD_HOWE_FOLD,
    ticks: every(15, '2027-04-03T13:00', '2027-04-04T13:30'),
  },
  // A list of times is no single time: it leaves out what does not exist, and comes twice where time does.
  { what: 'a list with 02:30, in the gap', cron: '30 2,14 * * *', ...BERLIN_GAP, ticks: ['2027-03-28T12:30'] },
  {
    what: 'a list with 02:30, in the fold',
    cron: '30 2,14 * * *',
    ...BERLIN_FOLD,
    ticks: ['2027-10-31T00:30', '2027-10-31T01:30', '2027-10-31T13:30'],
  },
  // Calendars.
  {
    what: 'the leap day',
    cron: '0 12 29 2 *',
    ...BERLIN,
    from: '2027-01-01T00:00',
    to: '2041-01-01T00:00',
    ticks: ['2028-02-29T11:00', '2032-02-29T11:00', '2036-02-29T11:00', '2040-02-29T11:00'],
  },
  {
    what: 'the leap day, not in 2100',
    cron: '0 12 29 2 *',
    timeZone: 'UTC',
    from: '2095-01-01T00:00',
    to: '2105-01-01T00:00',
    ticks: ['2096-02-29T12:00', '2104-02-29T12:00'],
  },
  {
    what: 'the end of the month',
    cron: '0 0 L * *',
    ...NEW_YORK,
    from: '2028-01-01T00:00',
    to: '2028-06-01T00:00',
    ticks: ['2028-01-31T05:00', '2028-02-29T05:00', '2028-03-31T04:00', '2028-04-30T04:00', '2028-05-31T04:00'],
  },
  {
    what: 'the 31st, in the months that have one',
    cron: '0 0 31 * *',
    timeZone: 'UTC',
    from: '2027-01-01T00:00',
    to: '2027-08-30T00:00',
    ticks: ['2027-01-31T00:00', '2027-03-31T00:00', '2027-05-31T00:00', '2027-07-31T00:00'],
  },
  {
    what: 'midnight, where the clock is put forward at midnight',
    cron: '0 0 * * *',
    timeZone: 'Africa/Cairo',
    from: '2027-04-28T22:30',
    to: '2027-04-30T22:00',
    ticks: ['2027-04-29T22:00', '2027-04-30T21:00'],
  },
]

describe('the ticks of a schedule', () => {
  it.each(CASES)('$cron in $timeZone: $what', ({ cron, timeZone, from, to, ticks }) => {
    expect(texts(between({ cron, timeZone }, from, to))).toEqual(ticks)
  })

  it('are counted from the first one, where there is a period', () => {
    const { after, before } = timetable({ everyMs: 1_000 }, 5_500)

    expect([after(0), after(6_499), after(6_500), after(7_500)]).toEqual([6_500, 6_500, 7_500, 8_500])
    expect([before(6_500), before(6_501), before(7_500), before(7_501)]).toEqual([undefined, 6_500, 6_500, 7_500])
  })

  it('begin and end when they are told to, both included', () => {
    const period = { everyMs: 1_000, startAt: 10_000, endAt: 12_000 }
    const minutely = { cron: '* * * * *', startAt: 60_000, endAt: 180_000 }
    const ticksOf = (timing: typeof period | typeof minutely) => {
      const { after, before } = timetable(timing, 0)
      const ticks: number[] = []
      for (let at = after(0); at !== undefined; at = after(at)) ticks.push(at)
      const back: number[] = []
      for (let at = before(1e12); at !== undefined; at = before(at)) back.unshift(at)
      expect(back).toEqual(ticks)
      return ticks
    }

    expect(ticksOf(period)).toEqual([10_000, 11_000, 12_000])
    expect(ticksOf(minutely)).toEqual([60_000, 120_000, 180_000])
  })

  it('are the same forward and back, from wherever one looks', () => {
    const random = generator('timetable')
    const number = (first: number, last: number) => first + random.below(last - first + 1)
    const field = (first: number, last: number) =>
      random.pick([
        () => '*',
        () => `${number(first, last)}`,
        () => `*/${number(1, Math.ceil(last / 2))}`,
        () => `${number(first, last)},${number(first, last)}`,
      ])()
    for (let round = 0; round < 300; round++) {
      const cron = random.pick([
        () => `${field(0, 59)} ${field(0, 23)} * * *`,
        () => `${number(0, 59)} ${number(0, 3)} * * *`,
        () => `${field(0, 59)} ${field(0, 59)} ${number(0, 3)} ${field(1, 28)} * *`,
        () => `0 ${number(0, 23)} * * ${number(0, 6)}`,
      ])()
      const { timeZone } = random.pick([
        BERLIN,
        NEW_YORK,
        LORD_HOWE,
        { timeZone: 'UTC' },
        { timeZone: 'Asia/Kathmandu' },
      ])
      const change = utc(
        random.pick([BERLIN_GAP, BERLIN_FOLD, NEW_YORK_GAP, NEW_YORK_FOLD, LORD_HOWE_GAP, LORD_HOWE_FOLD]).from,
      )
      const from = change + number(-7_200_000, 21_600_000)
      const { after, before } = timetable({ cron, timeZone }, 0)
      const ticks: number[] = []
      for (let at = after(from); at !== undefined && ticks.length < 12; at = after(at)) ticks.push(at)

      const back: number[] = []
      for (let at = before((ticks.at(-1) ?? from) + 1); at !== undefined && at > from; at = before(at)) back.unshift(at)
      const why = `${random.seed} round ${round}: ${cron} in ${timeZone} from ${new Date(from).toISOString()}`
      expect(texts(back), why).toEqual(texts(ticks))
      for (const [i, tick] of ticks.entries()) {
        const earlier = ticks[i - 1] ?? from
        const anywhere = earlier + random.below(tick - earlier)
        expect(after(anywhere), why).toBe(tick)
        expect(after(tick - 1), why).toBe(tick)
      }
    }
  })
})

describe('a schedule that cannot be kept', () => {
  const NOW = utc('2027-01-01T00:00')

  it.each([
    [{}, 'cron or everyMs: one of the two is needed'],
    [{ cron: '* * * * *', everyMs: 1_000 }, 'cron or everyMs: one of the two is needed'],
    [{ cron: 'whenever' }, /^cron: .*five, six, or seven/],
    [{ cron: '61 * * * *' }, 'cron: Invalid value for minute: 61'],
    [{ cron: '*/0 * * * *' }, /^cron: .*stepping/],
    [{ cron: '@reboot' }, /^cron: /],
    [{ cron: '' }, /^cron: /],
    [{ cron: '2027-05-05T00:00:00' }, 'cron: a pattern of 5 to 7 fields is needed'],
    [{ cron: '0 0 30 2 *' }, 'no tick would ever come'],
    [{ cron: '0 0 1 1 1 * 2020' }, 'no tick would ever come'],
    [{ cron: '0 0 * * *', endAt: NOW + 1_000 }, 'no tick would ever come'],
    [{ everyMs: 1_000, endAt: NOW }, 'no tick would ever come'],
    [{ cron: '* * * * *', timeZone: 'Mars/Olympus_Mons' }, /^timeZone: .*Europe\/Berlin/],
    [{ cron: '* * * * *', timeZone: '' }, /^timeZone: /],
    [{ everyMs: 1_000, timeZone: 'UTC' }, /^timeZone: /],
    [{ everyMs: LIMITS.everyMs - 1 }, /^everyMs: /],
    [{ everyMs: LIMITS.delayMs + 1 }, /^everyMs: /],
    [{ everyMs: 1_000.5 }, /^everyMs: /],
    [{ everyMs: 1_000, startAt: 9e15 }, /^startAt: /],
    [{ everyMs: 1_000, endAt: 9e15 }, /^endAt: /],
    [{ everyMs: 1_000, startAt: NOW + 2, endAt: NOW + 1 }, 'endAt: comes before startAt'],
  ])('%j: %s', (timing, why) => {
    expect(timingFault(timing, NOW)).toMatchObject({
      code: 'bad_schedule',
      message: typeof why === 'string' ? why : expect.stringMatching(why),
    })
  })

  it.each([
    { cron: '@daily', timeZone: 'europe/berlin' },
    { cron: '0 9 * * MON-FRI' },
    { cron: '*/10 * * * * *' },
    { everyMs: LIMITS.everyMs },
  ])('%j is none', (timing) => {
    expect(timingFault(timing, NOW)).toBeUndefined()
  })
})
