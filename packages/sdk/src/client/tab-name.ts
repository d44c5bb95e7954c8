import { hash } from '../platform.ts'

/** Whose tabs they are. */
export interface TabOwner {
  readonly url: string | undefined
  readonly name: string
  readonly user: string | undefined
}

/** Server, application and user: whoever differs in one of them shares nothing. */
export async function nameOf({ url, name, user }: TabOwner): Promise<string> {
  const server = url === undefined ? 'local' : new URL(url).host + new URL(url).pathname.replace(/\/$/, '')
  return ['messkit', name, server, user === undefined ? 'nobody' : await hash(user)].map(encodeURIComponent).join('/')
}
