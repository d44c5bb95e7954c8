import { MessError, SchemaError } from './errors.ts'

/** Any validator of the Standard Schema family (valibot, zod, arktype, …); see standardschema.dev. */
export interface StandardSchema<Input, Output = Input> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
  }
}

type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly { readonly message: string; readonly path?: readonly unknown[] | undefined }[] }

/**
 * What the schema makes of a value.
 * @throws {SchemaError} if it does not fit
 * @throws {MessError} `async_schema` for a schema that answers with a promise: neither publishing nor delivery can wait for one
 */
export function applySchema<Output>(schema: StandardSchema<unknown, Output>, value: unknown, what: string): Output {
  const result = schema['~standard'].validate(value)
  if (result instanceof Promise) {
    result.catch(() => {})
    throw new MessError('async_schema', 'The schema answers asynchronously')
  }
  if (!result.issues) return result.value
  throw new SchemaError(
    `${what} does not fit the schema: ${result.issues[0]?.message ?? 'no reason given'}`,
    result.issues,
  )
}
