// Stands between whoever starts a server and workerd: when the starter is gone, however it went, its pipe ends, and so does workerd.
// stdin: the pipe. stdout: workerd's control messages, after one that tells its pid. stderr: workerd's own.
import { spawn } from 'node:child_process'

const [command, ...args] = process.argv.slice(2)
const child = spawn(command, args, { stdio: ['ignore', 2, 2, 1] })
child.on('spawn', () => process.stdout.write(`${JSON.stringify({ event: 'spawned', pid: child.pid })}\n`))
child.on('error', (error) => {
  console.error(error.message)
  process.exit(127)
})
child.on('exit', (code, signal) => {
  if (signal !== null) console.error(`workerd was ended by ${signal}`)
  process.exit(code ?? 1)
})
process.stdin
  .on('end', () => child.kill('SIGKILL'))
  .on('error', () => child.kill('SIGKILL'))
  .resume()
// A terminal sends Ctrl-C to everybody; who started us decides what it means.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {})
