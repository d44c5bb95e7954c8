const A = '../../packages/edge/src/acl/'
const { parse } = await import(A + 'parse.ts')
const lines = []
for (let i = 0; i < 10000; i++)
  lines.push(
    `acl ${i % 3 ? 'allow' : 'deny'} ${i % 2 ? 'user:u' + (i % 500) : 'group:g' + (i % 50)} publish topic name="orders/${i}/${i % 7 ? '#' : '*'}" limit-rate=50/s`.replace(
      i % 3 ? 'zzz' : ' limit-rate=50/s',
      '',
    ),
  )
const text = lines.join('\n')
for (let k = 0; k < 6; k++) {
  const t = performance.now()
  parse(text, { dialect: 'native' })
  console.log(performance.now() - t)
}
