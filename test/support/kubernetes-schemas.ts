import { copyFile, mkdir, readFile, readdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { Ajv, type ErrorObject } from 'ajv'
import { parse } from 'yaml'
import { cached, goModuleFolder, goSourceFingerprint, runGo } from './go-module.ts'
import { cacheFolder } from './cache-folder.ts'

/** The versions whose schemas every object is held to: an old one, that of the control plane of the tests, the newest. */
export const SCHEMA_VERSIONS = ['v1.32.0', 'v1.35.4', 'v1.37.2'] as const

/** One of the versions. */
export type SchemaVersion = (typeof SCHEMA_VERSIONS)[number]

/** The Go module that pins the types of the Prometheus operator and the program that makes schemas of them. */
const CRD_SOURCE = resolve(import.meta.dirname, 'kubernetes-crds')
const OPERATOR_TYPES = 'github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1'
/** A few hundred packages. */
const GENERATOR_DEADLINE_MS = 600_000
/** What the schemas refer to each other by; never asked. */
const OPENAPI = 'https://schemas.test/kubernetes'
const OBJECT_META = 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta'
const LARGEST_INT32 = 2 ** 31 - 1

/** A JSON schema as far as it is looked at here. */
interface Schema {
  readonly [name: string]: unknown
}

/** Some definitions leave them out; every object has them. */
const TYPE_FIELDS = { apiVersion: { type: 'string' }, kind: { type: 'string' } }

/** A group, version and kind as one text, like `apps/v1 StatefulSet`. */
type KindName = string

/**
 * Schemas of every kind of one Kubernetes version, with those of the Prometheus operator, made strict: a field that
 * the kind does not have is a fault, as are nulls.
 */
export class KubernetesSchemas {
  readonly #ajv: Ajv
  /** Where each kind's schema is. */
  readonly #references = new Map<KindName, string>()

  private constructor() {
    this.#ajv = new Ajv({
      allErrors: true,
      // The schemas have Kubernetes' own keywords, and the operator's have patterns of Go's dialect.
      strict: false,
      code: { regExp: Object.assign(goRegExp, { code: 'goRegExp' }) },
      formats: {
        int32: {
          type: 'number',
          validate: (n: number) => Number.isInteger(n) && Math.abs(n) <= LARGEST_INT32,
        },
        int64: { type: 'number', validate: (n: number) => Number.isSafeInteger(n) },
        double: { type: 'number', validate: (n: number) => Number.isFinite(n) },
        byte: /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/,
        'date-time': /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/,
      },
    })
  }

  /** Fetches what is needed the first time. */
  static async load(version: SchemaVersion): Promise<KubernetesSchemas> {
    const schemas = new KubernetesSchemas()
    schemas.#addKubernetes(JSON.parse(await readFile(await openApiFile(version), 'utf8')) as Schema)
    const folder = await operatorDefinitions()
    for (const name of await readdir(folder)) {
      schemas.#addDefinition(parse(await readFile(join(folder, name), 'utf8')) as CustomResourceDefinition)
    }
    return schemas
  }

  /** The kinds that are known, like `apps/v1 StatefulSet`. */
  get kinds(): ReadonlySet<KindName> {
    return new Set(this.#references.keys())
  }

  /**
   * What is wrong with an object: one line for each fault, with the path of the field; empty when it is as it should
   * be.
   */
  faults(object: unknown): string[] {
    const { apiVersion, kind } = object as { apiVersion?: unknown; kind?: unknown }
    const reference = this.#references.get(`${String(apiVersion)} ${String(kind)}`)
    if (reference === undefined) return [`${String(apiVersion)} ${String(kind)}: no such kind`]
    const validate = this.#ajv.getSchema(reference)
    if (validate === undefined) throw new Error(`the schema ${reference} is not there`)
    return validate(object) === true ? [] : (validate.errors ?? []).map(describeFault)
  }

  #addKubernetes(document: Schema): void {
    const definitions: Record<string, Schema> = {}
    for (const [name, definition] of Object.entries(document['definitions'] as Record<string, Schema>)) {
      definitions[name] = strict(definition)
      for (const { group, version, kind } of kindsOf(definition)) {
        const reference = `${OPENAPI}#/definitions/${name}`
        this.#references.set(`${group === '' ? '' : `${group}/`}${version} ${kind}`, reference)
      }
    }
    // Written as text or as a number, `1` as well as `"500m"` (apimachinery, pkg/api/resource).
    definitions['io.k8s.apimachinery.pkg.api.resource.Quantity'] = {
      anyOf: [
        { type: 'number' },
        {
          type: 'string',
          pattern: '^[+-]?(\\d+|\\d+\\.\\d*|\\.\\d+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?\\d+)?$',
        },
      ],
    }
    this.#ajv.addSchema({ $id: OPENAPI, definitions })
  }

  #addDefinition({ spec }: CustomResourceDefinition): void {
    const metadata = { $ref: `${OPENAPI}#/definitions/${OBJECT_META}` }
    for (const { name, schema } of spec.versions) {
      const $id = `https://schemas.test/${spec.group}/${name}/${spec.names.kind}`
      const { properties = {}, ...rest } = strict(schema.openAPIV3Schema) as {
        properties?: Record<string, Schema>
      }
      this.#ajv.addSchema({ ...rest, $id, properties: { ...TYPE_FIELDS, ...properties, metadata } })
      this.#references.set(`${spec.group}/${name} ${spec.names.kind}`, $id)
    }
  }
}

/** A custom resource definition as far as it is looked at here. */
interface CustomResourceDefinition {
  readonly spec: {
    readonly group: string
    readonly names: { readonly kind: string }
    readonly versions: readonly {
      readonly name: string
      readonly schema: { readonly openAPIV3Schema: Schema }
    }[]
  }
}

/**
 * The folder with the custom resource definitions of the Prometheus operator, one file for each kind, made of its Go
 * types by the program that the operator makes its own with.
 */
export async function operatorDefinitions(): Promise<string> {
  const path = join(cacheFolder(), `prometheus-operator-crds-${await goSourceFingerprint(CRD_SOURCE)}`)
  return cached(path, async (folder) => {
    await mkdir(folder)
    const args = [
      'tool',
      'controller-gen',
      'crd:crdVersions=v1',
      `paths=${OPERATOR_TYPES}`,
      `output:dir=${folder}`,
    ]
    await runGo(CRD_SOURCE, args, GENERATOR_DEADLINE_MS)
    if ((await readdir(folder)).length === 0) throw new Error(`no definitions were made of ${OPERATOR_TYPES}`)
  })
}

async function openApiFile(version: SchemaVersion): Promise<string> {
  return cached(join(cacheFolder(), `kubernetes-openapi-${version}.json`), async (file) => {
    const folder = await goModuleFolder('k8s.io/kubernetes', version, CRD_SOURCE)
    await copyFile(join(folder, 'api', 'openapi-spec', 'swagger.json'), file)
  })
}

function kindsOf(definition: Schema): { group: string; version: string; kind: string }[] {
  const kinds = definition['x-kubernetes-group-version-kind'] ?? []
  return kinds as { group: string; version: string; kind: string }[]
}

/** The same schema that takes no field which it does not name. Within a schema every object is one too, or a map of such. */
function strict(schema: Schema): Schema {
  const result: Record<string, unknown> = { ...schema }
  for (const name of ['properties', 'definitions']) {
    const map = schema[name] as Record<string, Schema> | undefined
    if (map === undefined) continue
    result[name] = Object.fromEntries(Object.entries(map).map(([key, value]) => [key, strict(value)]))
  }
  for (const name of ['items', 'additionalProperties', 'not']) {
    const inner = schema[name]
    if (typeof inner === 'object') result[name] = strict(inner as Schema)
  }
  const reference = schema['$ref']
  if (typeof reference === 'string') return { $ref: `${OPENAPI}${reference}` }
  if (schema['format'] === 'int-or-string') {
    return { anyOf: [{ type: 'integer' }, { type: 'string' }] }
  }
  const isOpen = schema['x-kubernetes-preserve-unknown-fields'] === true
  if (schema['properties'] !== undefined && schema['additionalProperties'] === undefined && !isOpen) {
    result['additionalProperties'] = false
  }
  return result
}

/** Go's patterns may switch to any case within; JavaScript's do it as a whole. */
function goRegExp(pattern: string): RegExp {
  return new RegExp(pattern.replace('(?i)', ''), pattern.includes('(?i)') ? 'i' : '')
}

function describeFault({ instancePath, message = '', params }: ErrorObject): string {
  const { additionalProperty } = params as { additionalProperty?: string }
  return `${instancePath === '' ? '/' : instancePath}: ${message}${additionalProperty === undefined ? '' : ` (${additionalProperty})`}`
}
