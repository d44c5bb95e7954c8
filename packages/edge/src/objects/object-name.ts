import type { Resource, ResourceKind } from '../access/resource.ts'

/** An object is named `<kind>:<space>:<name>`; so far there is one space. */
const prefixOf = (kind: ResourceKind): string => `${kind}:main:`

/** The one object of the deployment's policy. */
export const DIRECTORY = 'directory:main'

/** Who counts connections of one user, or of one address; made only where a policy limits them. */
export const limiterName = (of: 'user' | 'address', key: string): string => `limiter:main:${of}:${key}`

export const objectName = ({ kind, name }: Resource): string => prefixOf(kind) + name

/** @throws {Error} for an object of another kind, or one that was not asked for by name, which only we could do */
export function resourceNamed(kind: ResourceKind, name: string | undefined): Resource {
  if (!name?.startsWith(prefixOf(kind))) throw new Error(`this object is no ${kind}`)
  return { kind, name: name.slice(prefixOf(kind).length) }
}
