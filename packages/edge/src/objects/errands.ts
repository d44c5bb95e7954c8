const ERRANDS = {
  /** Objects that are told in one event: an object may ask others about a thousand times before its event has to end. */
  toldPerEvent: 500,
  toldAtOnce: 50,
  /** The same in characters: a policy may be large, and those on their way lie in memory. */
  charsAtOnce: 16 * 1024 * 1024,
  /** Who could not be told is told again after this long. */
  againMs: 5_000,
} as const

const TABLE = `create table if not exists waiting (
  errand integer not null, name text not null, tries integer not null, primary key (errand, name)
) without rowid`

/** What telling everybody came to. */
export interface Told {
  readonly told: number
  /** Not told yet: there were too many for one event, or they have not answered. They are told without anybody asking. */
  readonly waiting: number
  /** What those that were told counted. */
  readonly sum: number
}

interface ErrandsOptions {
  readonly storage: DurableObjectStorage
  readonly now: () => number
  /** @returns what it counted there, or `undefined` where nobody is any more */
  readonly tell: (errand: number, name: string) => Promise<number | undefined>
  readonly gone: (name: string) => void
  /** How much is sent to each, in characters. */
  readonly size: (errand: number) => number
}

/** Tells many objects something: the first at once, the others and those that failed by alarms. */
export class Errands {
  readonly #options: ErrandsOptions
  readonly #sql: SqlStorage

  constructor(options: ErrandsOptions) {
    this.#options = options
    this.#sql = options.storage.sql
    this.#sql.exec(TABLE)
  }

  async run(errand: number, names: readonly string[]): Promise<Told> {
    const later = names.slice(ERRANDS.toldPerEvent)
    for (const name of later) this.#wait(errand, name, 0)
    // Before anybody is told: nobody is forgotten if the memory is lost meanwhile.
    if (later.length > 0) await this.#options.storage.setAlarm(this.#options.now())
    const now = names.slice(0, ERRANDS.toldPerEvent).map((name) => ({ errand, name, tries: 0 }))
    const { failed, sum } = await this.#tell(now)
    if (failed > 0 && later.length === 0) await this.#again()
    return { told: now.length - failed, waiting: later.length + failed, sum }
  }

  /** Nobody needs to hear of these any more. */
  drop(first: number, last: number): void {
    this.#sql.exec('delete from waiting where errand between ? and ?', first, last)
  }

  /** Those who have waited first; then those who did not answer. */
  async alarm(): Promise<void> {
    const rows = this.#sql
      .exec('select errand, name, tries from waiting order by tries limit ?', ERRANDS.toldPerEvent)
      .toArray() as unknown as Waiting[]
    await this.#tell(rows)
    const [left] = this.#sql.exec('select min(tries) as tries from waiting').toArray()
    if (left?.tries === 0) await this.#options.storage.setAlarm(this.#options.now())
    else if (left?.tries) await this.#again()
  }

  #again(): Promise<void> {
    return this.#options.storage.setAlarm(this.#options.now() + ERRANDS.againMs)
  }

  async #tell(rows: readonly Waiting[]): Promise<{ failed: number; sum: number }> {
    let [failed, sum, next] = [0, 0, 0]
    const worker = async (): Promise<void> => {
      for (let row = rows[next++]; row !== undefined; row = rows[next++]) {
        const counted = await this.#tellOne(row)
        if (counted === undefined) failed++
        else sum += counted
      }
    }
    const most = Math.max(1, ...rows.map(({ errand }) => this.#options.size(errand)))
    const atOnce = Math.max(1, Math.min(ERRANDS.toldAtOnce, Math.floor(ERRANDS.charsAtOnce / most)))
    await Promise.all(Array.from({ length: atOnce }, worker))
    return { failed, sum }
  }

  /** @returns `undefined` where nobody answered */
  async #tellOne({ errand, name, tries }: Waiting): Promise<number | undefined> {
    try {
      const counted = await this.#options.tell(errand, name)
      if (counted === undefined) this.#options.gone(name)
      this.#sql.exec('delete from waiting where errand = ? and name = ?', errand, name)
      return counted ?? 0
    } catch (error) {
      console.error('an object could not be told:', error)
      this.#wait(errand, name, tries + 1)
      return undefined
    }
  }

  #wait(errand: number, name: string, tries: number): void {
    this.#sql.exec(
      'insert into waiting values (?, ?, ?) on conflict do update set tries = excluded.tries',
      errand,
      name,
      tries,
    )
  }
}

interface Waiting {
  readonly errand: number
  readonly name: string
  readonly tries: number
}
