import { beforeEach, expect, test } from 'vitest'
import { Alarm } from './alarm.ts'

const NOW = 1_000_000
let standing: number | null
let set: number[]
const home = {
  getAlarm: async () => standing,
  setAlarm: async (at: number) => {
    standing = at
    set.push(at)
  },
}

beforeEach(() => {
  standing = null
  set = []
})

test('is set once for the earliest of all wishes', async () => {
  const alarm = new Alarm(home)

  for (const at of [NOW + 300, NOW + 100, NOW + 200]) alarm.want(at)
  await alarm.arm(NOW)
  alarm.want(NOW + 100)
  alarm.want(NOW + 500)
  await alarm.arm(NOW)

  expect(set).toEqual([NOW + 100])
})

test('is set again only to ring earlier, also if it was set before the memory was lost', async () => {
  standing = NOW + 200
  const alarm = new Alarm(home)

  alarm.want(NOW + 300)
  await alarm.arm(NOW)
  expect(set).toEqual([])
  alarm.want(NOW + 100)
  await alarm.arm(NOW)

  expect(set).toEqual([NOW + 100])
})

test('is asked for nothing where nobody wants it', async () => {
  let asked = 0
  const alarm = new Alarm({ ...home, getAlarm: async () => asked++ })

  await alarm.arm(NOW)

  expect(asked).toBe(0)
})

test('is wanted anew after it rang', async () => {
  const alarm = new Alarm(home)
  alarm.want(NOW + 100)
  await alarm.arm(NOW)

  expect(alarm.overdue(NOW + 99)).toBe(false)
  expect(alarm.overdue(NOW + 100)).toBe(true)
  alarm.rung()
  expect(alarm.overdue(NOW + 100)).toBe(false)
  alarm.want(NOW + 400)
  await alarm.arm(NOW + 100)

  expect(set).toEqual([NOW + 100, NOW + 400])
})

test('takes up what is wanted while it asks when it will ring', async () => {
  const alarm = new Alarm(home)
  alarm.want(NOW + 300)
  const first = alarm.arm(NOW)
  alarm.want(NOW + 100)
  const second = alarm.arm(NOW)
  await Promise.all([first, second])

  expect(set).toEqual([NOW + 100])
})

test('rings a month ahead at the latest, since nobody can count to the end of all tokens', async () => {
  const alarm = new Alarm(home)
  alarm.want(Number.MAX_SAFE_INTEGER)
  await alarm.arm(NOW)

  expect(set).toEqual([NOW + 30 * 24 * 3_600_000])
})
