import { unknownMessage } from '../unknown-name.ts'
import type { ConfigProblem } from './problem.ts'
import type { Given } from './resolve.ts'
import { CLIENT_SETTINGS } from './client-settings.ts'
import { SERVE_SETTINGS } from './serve-settings.ts'
import { isSettableIn, variableOf, type SettingTable } from './setting.ts'

/** The environment of a process. */
export type Environment = Readonly<Record<string, string | undefined>>

const PREFIX = 'RINGMAN_'

/** A variable that could be a setting and is taken for one that Kubernetes made for a Service. */
export interface IgnoredVariable {
  readonly property: string
  readonly name: string
  readonly value: string
  /** The name of the Service. */
  readonly service: string
}

/** Every table whose variables may be there without being read. */
const TABLES: readonly SettingTable[] = [SERVE_SETTINGS, CLIENT_SETTINGS]

/**
 * Reads the variables that begin with `RINGMAN_`. An empty one counts as not set; one that no command knows is a
 * problem.
 *
 * Kubernetes puts variables into the pods of a namespace for each Service in it, and those of a Service called
 * `ringman` (or `ringman-…`) begin with `RINGMAN_` too: `RINGMAN_SERVICE_HOST`, `RINGMAN_PORT`,
 * `RINGMAN_PORT_8080_TCP_ADDR`, for `ringman-http` even `RINGMAN_HTTP_PORT=tcp://…`. They are recognised by name
 * and form and ignored. Two have the name and the form of a setting: `RINGMAN_SERVICE_PORT`, and for a Service
 * `ringman-sidecar` `RINGMAN_SIDECAR_SERVICE_PORT`. Such a one is taken for Kubernetes's when it says the same as the
 * `RINGMAN_PORT` and `RINGMAN_SERVICE_HOST` beside it.
 *
 * @param table - The settings wanted.
 * @see https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
 */
export function readEnvironment(table: SettingTable, env: Environment) {
  const wanted = new Map(variablesOf(table))
  const allNames = new Set([table, ...TABLES].flatMap((one) => variablesOf(one).map(([name]) => name)))
  const layer = new Map<string, Given>()
  const problems: ConfigProblem[] = []
  const ignored: IgnoredVariable[] = []
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith(PREFIX) || value === undefined || value === '') continue
    const property = wanted.get(name)
    if (isServiceLink(name, value, env, allNames)) {
      if (property !== undefined && /^\d+$/.test(value)) {
        ignored.push({ property, name, value, service: serviceOf(name) })
      }
      continue
    }
    const origin = { kind: 'variable', name } as const
    if (property !== undefined) layer.set(property, { value, origin })
    else if (!allNames.has(name)) {
      problems.push({ key: name, origin, message: unknownMessage('setting', name, allNames) })
    }
  }
  return { layer, problems, ignored }
}

function variablesOf(table: SettingTable): [name: string, property: string][] {
  return Object.entries(table)
    .filter(([, setting]) => isSettableIn(setting, 'variable'))
    .map(([property]) => [variableOf(property), property])
}

/** The Service whose port a variable names. */
function serviceOf(name: string): string {
  return name
    .replace(/_SERVICE_PORT$/, '')
    .replaceAll('_', '-')
    .toLowerCase()
}

/** Whether Kubernetes made this variable for a Service. */
function isServiceLink(
  name: string,
  value: string,
  env: Environment,
  settings: ReadonlySet<string>,
): boolean {
  if (name.endsWith('_PORT') && /^(tcp|udp|sctp):\/\//.test(value)) return true
  if (/_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$/.test(name)) return true
  if (name.endsWith('_SERVICE_HOST')) return true
  const [, service] = /^(.+)_SERVICE_PORT(?:_.+)?$/.exec(name) ?? []
  if (service === undefined || env[`${service}_SERVICE_HOST`] === undefined) return false
  return !settings.has(name) || (env[`${service}_PORT`] ?? '').endsWith(`:${value}`)
}
