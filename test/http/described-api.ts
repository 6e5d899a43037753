import { Ajv2020 } from 'ajv/dist/2020.js'

interface MediaType {
  readonly schema: object
}

interface Described {
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, MediaType>> }>>
  readonly requestBody?: { readonly content: Readonly<Record<string, MediaType>> }
  readonly parameters?: readonly { readonly name: string; readonly in: string }[]
  readonly operationId: string
}

/** An OpenAPI document, as far as tests look into it. */
export interface ApiDocument {
  readonly openapi: string
  readonly info: { readonly version: string }
  readonly paths: Readonly<Record<string, Readonly<Record<string, Described>>>>
}

/** Holds values to the schemas of a document: as it is under `api#`, and under `closed#` with nothing that it does not name. */
export class DescribedApi {
  readonly ajv = new Ajv2020({ strict: false, allErrors: true, formats: { 'date-time': true, uri: true } })

  constructor(description: ApiDocument) {
    this.ajv.addSchema({ $id: 'api', ...description })
    this.ajv.addSchema({ $id: 'closed', ...(closed(description) as ApiDocument) })
  }

  /** What is wrong with a value by the closed schema at that place. */
  problemsOf(value: unknown, ...steps: readonly string[]): unknown {
    const validate = this.ajv.compile({ $ref: pointer(...steps) })
    return validate(value) ? [] : validate.errors
  }

  /** What is wrong with an answer. */
  problemsOfAnswer(
    method: string,
    path: string,
    answer: { readonly status: number; readonly type: string; readonly body: string },
  ): unknown {
    const steps = [
      'paths',
      path,
      method,
      'responses',
      String(answer.status),
      'content',
      answer.type,
      'schema',
    ]
    return this.problemsOf(JSON.parse(answer.body), ...steps)
  }
}

/** The description as of this version alone: no fields and no words but those it names. */
function closed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(closed)
  if (typeof value !== 'object' || value === null) return value
  const copy = Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, closed(inner)]))
  if (copy['type'] === 'object' && 'properties' in copy) copy['additionalProperties'] = false
  if (copy['type'] === 'string' && 'examples' in copy) copy['enum'] = copy['examples']
  return copy
}

/** Where a response's schema stands in the closed description, as a JSON pointer. */
function pointer(...steps: readonly string[]): string {
  return `closed#/${steps.map((step) => encodeURIComponent(step.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/')}`
}
