/** The words of the C++ broker's notation. They are in lower case only. */
export const ACTIONS = words('access bind consume create delete move publish purge redirect reroute unbind update')
export const OBJECTS = words('broker connection exchange link method query queue')
export const PERMISSIONS = words('allow allow-log deny deny-log')
export const TEXTS = words(
  'name durable owner routingkey autodelete exclusive type alternate queuename exchangename schemapackage schemaclass policytype paging host',
)
export const POLICY_TYPES = words('ring self-destruct reject')

const BOUND_WORDS = { least: 'lowerlimit', most: 'upperlimit' } as const

/** What a rule limits, and which property of a request it is compared with. */
export const LIMITS: ReadonlyMap<string, { readonly property: string; readonly bound: 'least' | 'most' }> = new Map(
  [
    ['queuemaxsize', 'maxqueuesize'],
    ['queuemaxcount', 'maxqueuecount'],
    ['filemaxsize', 'maxfilesize'],
    ['filemaxcount', 'maxfilecount'],
    ['pages', 'maxpages'],
    ['pagefactor', 'maxpagefactor'],
  ].flatMap(([name, property = '']) =>
    (['least', 'most'] as const).map((bound) => [`${name}${BOUND_WORDS[bound]}`, { property, bound }] as const),
  ),
)
export const ALIASES: ReadonlyMap<string, string> = new Map([
  ['maxqueuesize', 'queuemaxsizeupperlimit'],
  ['maxqueuecount', 'queuemaxcountupperlimit'],
])

function words(text: string): ReadonlySet<string> {
  return new Set(text.split(' '))
}
