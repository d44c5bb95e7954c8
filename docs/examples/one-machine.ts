// #region serve
import { bundleWorker } from '../../scripts/bundle.mjs'
import { startServer } from '../../scripts/serve.mjs'

export async function serve({ dataDir, secret, port }: { dataDir: string; secret: string; port: number }) {
  const server = await startServer({
    bundle: await bundleWorker(), // once per state of the sources
    dataDir,
    port,
    vars: {
      TOKEN_SECRET: secret,
      TOKEN_ISSUER: 'https://app.example.com',
      TOKEN_AUDIENCE: 'messkit',
      POLICY: 'acl allow all all topic from=all', // whoever has a good token may use every topic
      ADMINS: 'ana', // may change that while it runs
      ALLOWED_ORIGINS: 'https://app.example.com',
      RETENTION: JSON.stringify({ messages: 1_000_000, ageMs: 7 * 24 * 3_600_000 }),
    },
  })
  process.once('SIGTERM', () => server.stop())
  return server // server.url, server.exited, server.stop(), server.kill()
}
// #endregion
