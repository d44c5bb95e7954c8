// #region schema
import { createMess, SchemaError } from '@messkit/sdk'
import * as v from 'valibot'

const Reading = v.object({
  celsius: v.pipe(v.number(), v.minValue(-273.15)),
  takenAt: v.pipe(
    v.string(),
    v.isoTimestamp(),
    v.transform((text) => new Date(text)),
  ),
})

const mess = createMess()
const readings = mess.topic('weather/roof', { schema: Reading })

readings.subscribe(({ data }) => console.log(data.celsius, data.takenAt.getUTCFullYear())) // takenAt is a Date here
await readings.publish({ celsius: 21.5, takenAt: '2026-11-22T09:00:00Z' }) // and a text here

try {
  readings.publish({ celsius: -300, takenAt: '2026-11-22T09:01:00Z' })
} catch (error) {
  if (error instanceof SchemaError) console.log(error.issues[0]?.message)
}
// #endregion
// → 21.5 2026
// → Invalid value: Expected >=-273.15 but received -300

await mess.close()
