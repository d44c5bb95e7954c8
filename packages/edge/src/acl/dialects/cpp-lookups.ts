/**
 * What the C++ broker ever asks: an action on an object, with these properties besides the name. A rule whose properties never come
 * together is left out, as the broker does.
 */
const LOOKUPS: readonly (readonly [action: string, object: string, properties: string])[] = [
  ['access', 'broker', ''],
  ['access', 'exchange', 'queuename routingkey'],
  ['access', 'exchange', 'type alternate durable autodelete'],
  ['access', 'method', 'schemapackage schemaclass'],
  ['access', 'query', 'schemaclass'],
  ['access', 'queue', 'alternate durable exclusive autodelete policytype maxqueuecount maxqueuesize'],
  ['bind', 'exchange', 'queuename routingkey'],
  ['consume', 'queue', ''],
  ['create', 'connection', 'host'],
  ['create', 'exchange', 'type alternate durable autodelete'],
  ['create', 'link', ''],
  [
    'create',
    'queue',
    'alternate durable exclusive autodelete policytype paging maxpages maxpagefactor maxqueuecount maxqueuesize maxfilecount maxfilesize',
  ],
  ['delete', 'exchange', 'type alternate durable'],
  ['delete', 'queue', 'alternate durable exclusive autodelete policytype'],
  ['move', 'queue', 'queuename'],
  ['publish', 'exchange', 'routingkey'],
  ['purge', 'queue', ''],
  ['redirect', 'queue', 'queuename'],
  ['reroute', 'queue', 'exchangename'],
  ['unbind', 'exchange', 'queuename routingkey'],
  ['update', 'broker', ''],
]

export interface Lookup {
  readonly action: string
  readonly object: string
}

const ASKED = LOOKUPS.map(([action, object, properties]) => ({
  action,
  object,
  properties: new Set(['name', ...properties.split(' ')]),
}))

/** The asks that a rule with these properties can be about. `undefined` is every action, or every object. */
export function lookupsFor(
  { action, object }: { action: string | undefined; object: string | undefined },
  properties: readonly string[],
): Lookup[] {
  const found = ASKED.filter(
    (asked) =>
      (action === undefined || asked.action === action) &&
      (object === undefined || asked.object === object) &&
      properties.every((property) => asked.properties.has(property)),
  )
  // Two ways of asking the same are one for a rule.
  const one = new Map(
    found.map((asked) => [`${asked.action} ${asked.object}`, { action: asked.action, object: asked.object }]),
  )
  return [...one.values()]
}
