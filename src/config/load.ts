import { encodeMetadata } from '../membership/member.ts'
import { isRingmanError } from '../errors.ts'
import { trustsAddresses } from './forward-settings.ts'
import { CLIENT_SETTINGS } from './client-settings.ts'
import { readEnvironment, type Environment, type IgnoredVariable } from './environment.ts'
import { readConfigFile } from './file.ts'
import type { MemberConfig } from './member-settings.ts'
import { configError, quoteGiven, unknownMessage, type ConfigProblem } from './problem.ts'
import { resolveSettings, type Given, type Layer, type Resolved } from './resolve.ts'
import { HEALTHCHECK_SETTINGS, SERVE_SETTINGS, type ServeConfig } from './serve-settings.ts'
import { fileKeyOf, flagOf, type Origin, type SettingTable } from './setting.ts'

/** What was given on the command line. */
export interface GivenFlags {
  /** Text by property name. */
  readonly values: Readonly<Record<string, string | undefined>>
  /** Arguments that are no flag of the command, such as `--htp-port`. */
  readonly unknown: readonly string[]
}

/** A configuration, where each value came from, and what to tell the operator about it. */
export interface LoadedConfig<Table extends SettingTable> extends Resolved<Table> {
  /** Sentences for the log. */
  readonly warnings: readonly string[]
}

const TABLES: readonly SettingTable[] = [SERVE_SETTINGS, CLIENT_SETTINGS]

/**
 * The configuration of `ringman serve`: flags before variables before the file before defaults.
 *
 * @param needs - Settings without a default that must be set.
 * @throws {RingmanError} `CONFIG_INVALID` with every problem of every place in one message.
 */
export function loadServeConfig(
  flags: GivenFlags,
  env: Environment,
  needs: readonly (keyof ServeConfig)[] = [],
): LoadedConfig<typeof SERVE_SETTINGS> {
  const { layers, variables, problems } = readLayers(SERVE_SETTINGS, flags, env)
  const loaded = settle(SERVE_SETTINGS, layers, problems, (resolved) => {
    const found = [
      ...checkMember(SERVE_SETTINGS, resolved.values, resolved.origins),
      ...checkPorts(resolved),
      ...checkProxy(resolved),
      ...checkThreads(resolved),
      ...needs.flatMap((property) => checkNeeded(property, resolved)),
    ]
    // Who set a variable that is needed must not be told that nothing is set.
    const meant = variables.ignored.filter(({ property }) => found.some(({ key }) => key === property))
    return [
      ...found,
      ...meant.map((one): ConfigProblem => {
        const { property, name, value } = one
        const origin = { kind: 'variable', name } as const
        return { key: property, origin, given: quoteGiven(value), message: whyIgnored(one) }
      }),
    ]
  })
  const warnings = variables.ignored
    .filter(({ property }) => loaded.origins[property as keyof typeof loaded.origins].kind === 'default')
    .map((one) => `Ignored ${one.name}=${one.value}: ${whyIgnored(one)}`)
  return { ...loaded, warnings }
}

function whyIgnored({ property, service }: IgnoredVariable): string {
  return (
    `it comes from the Kubernetes Service "${service}" beside it. ` +
    `Set enableServiceLinks: false in the pod, or set ${flagOf(property)}`
  )
}

/**
 * The settings of a command other than `serve`: flags, then variables, then defaults. There is no file for them.
 *
 * @throws {RingmanError} `CONFIG_INVALID` with every problem in one message.
 */
export function loadCommandConfig<Table extends SettingTable>(
  table: Table,
  flags: GivenFlags,
  env: Environment,
): Resolved<Table> {
  const problems: ConfigProblem[] = []
  const flagLayer = readFlags(table, flags, problems)
  const variables = readEnvironment(table, TABLES, env)
  problems.push(...variables.problems)
  return settle(table, [flagLayer, variables.layer], problems, () => [])
}

/**
 * The settings of `ringman healthcheck`: flags before variables before the member's file before defaults. Of the file
 * only what says where the member listens is looked at.
 *
 * @throws {RingmanError} `CONFIG_INVALID` with every problem in one message.
 */
export function loadHealthcheckConfig(
  flags: GivenFlags,
  env: Environment,
): Resolved<typeof HEALTHCHECK_SETTINGS> {
  const { layers, problems } = readLayers(HEALTHCHECK_SETTINGS, flags, env)
  return settle(HEALTHCHECK_SETTINGS, layers, problems, () => [])
}

/** What flags, variables and the member's file say, the strongest first, with all that is wrong with them. */
function readLayers(table: SettingTable, flags: GivenFlags, env: Environment) {
  const problems: ConfigProblem[] = []
  const flagLayer = readFlags(table, flags, problems)
  const variables = readEnvironment(table, TABLES, env)
  problems.push(...variables.problems)
  const layers: Layer[] = [flagLayer, variables.layer]
  const path = (flagLayer.get('config') ?? variables.layer.get('config'))?.value
  if (typeof path === 'string' && path !== '') {
    const file = readConfigFile(SERVE_SETTINGS, path)
    problems.push(...file.problems)
    layers.push(file.layer)
  }
  return { layers, variables, problems }
}

/**
 * Checks what a program passes to the library, by property name; a `…Ms` is a number of milliseconds.
 *
 * @throws {RingmanError} `CONFIG_INVALID` with every problem in one message.
 */
export function loadOptions<Table extends SettingTable>(
  table: Table,
  options: Readonly<Record<string, unknown>>,
  check: (resolved: Resolved<Table>) => readonly ConfigProblem[],
): Resolved<Table> {
  const problems: ConfigProblem[] = []
  const layer = new Map<string, Given>()
  for (const [name, value] of Object.entries(options)) {
    const origin = { kind: 'option', name } as const
    if (!Object.hasOwn(table, name)) {
      problems.push({ key: name, origin, message: unknownMessage('option', name, Object.keys(table)) })
    } else if (value !== undefined) {
      // Only a program can say milliseconds as a number: its option has the unit in its name.
      const inMs = name.endsWith('Ms') && typeof value === 'number'
      layer.set(name, { value: inMs ? `${value}ms` : value, origin })
    }
  }
  return settle(table, [layer], problems, check)
}

/** What members' settings must be together. */
export function checkMember(
  table: SettingTable,
  member: MemberConfig,
  origins: Readonly<Record<string, Origin>>,
): ConfigProblem[] {
  const problems: ConfigProblem[] = []
  const sourceOrigin = origins['source'] ?? { kind: 'default' }
  for (const [property, { sources }] of Object.entries(table)) {
    const origin = origins[property]
    if (sources === undefined || origin === undefined || origin.kind === 'default') continue
    if (!sources.includes(member.source)) {
      problems.push({
        key: fileKeyOf(property),
        origin,
        message: `it is only for the source ${sources.join(', ')}, and the source is ${member.source}`,
      })
    }
  }
  const need = (property: keyof MemberConfig, what: string) => {
    if (member[property] !== undefined) return
    problems.push({
      key: fileKeyOf(property),
      origin: sourceOrigin,
      given: quoteGiven(member.source),
      message: `this source needs ${fileKeyOf(property)} (${flagOf(property)}), ${what}`,
    })
  }
  if (member.source === 'static') need('staticMembers', 'the list of members')
  if (member.source === 'sidecar') {
    need('sidecarService', 'the name of the service')
    need('sidecarServicePort', 'the ServicePort of the service')
    if (member.sidecarWatch) need('sidecarUrl', "where Sidecar's state is, to watch it")
  }
  if (member.label !== undefined && member.labelFile !== undefined) {
    problems.push({
      key: 'labelFile',
      origin: origins['labelFile'] ?? { kind: 'default' },
      given: quoteGiven(member.labelFile),
      message: 'either it or label is allowed, and both are set',
    })
  }
  problems.push(...checkKubernetes(member, origins))
  try {
    encodeMetadata({
      servicePort: String(member.servicePort),
      weight: member.weight,
      name: member.name,
      zone: member.zone,
      witness: true,
    })
  } catch (error) {
    if (!isRingmanError(error)) throw error
    problems.push({
      key: 'name',
      origin: origins['name'] ?? { kind: 'default' },
      message: `the name, together with the zone, is too long: ${error.message}`,
    })
  }
  return problems
}

/** What the settings about Kubernetes must be together. */
function checkKubernetes(member: MemberConfig, origins: Readonly<Record<string, Origin>>): ConfigProblem[] {
  const originOf = (property: string): Origin => origins[property] ?? { kind: 'default' }
  if (member.source === 'kubernetes') {
    const { kubernetesService, kubernetesSelector } = member
    if (kubernetesService !== undefined && kubernetesSelector !== undefined) {
      return [
        {
          key: 'kubernetesSelector',
          origin: originOf('kubernetesSelector'),
          given: quoteGiven(kubernetesSelector),
          message: 'either it or kubernetesService is allowed, and both are set',
        },
      ]
    }
    if (kubernetesService === undefined && kubernetesSelector === undefined) {
      return [
        {
          key: 'kubernetesService',
          origin: originOf('source'),
          given: quoteGiven(member.source),
          message: `this source needs kubernetesService (${flagOf('kubernetesService')}), the name of a Service, or kubernetesSelector (${flagOf('kubernetesSelector')})`,
        },
      ]
    }
    return []
  }
  if (member.kubernetesPodSelector !== undefined) return []
  const need = (property: string, given: unknown, what: string): ConfigProblem => ({
    key: 'kubernetesPodSelector',
    origin: originOf(property),
    given: quoteGiven(given),
    message: `${what} needs kubernetesPodSelector (${flagOf('kubernetesPodSelector')}), the labels of the pods`,
  })
  return [
    ...(member.kubernetesCheck ? [need('kubernetesCheck', true, 'the check')] : []),
    ...(member.seeds.some(({ kind }) => kind === 'pods') ? [need('seeds', 'pods:', 'the seed pods:')] : []),
  ]
}

function checkPorts({ values, origins }: Resolved<typeof SERVE_SETTINGS>): ConfigProblem[] {
  if (values.httpPort === 0 || values.httpPort !== values.adminPort) return []
  const moved = origins.adminPort.kind === 'default' ? 'httpPort' : 'adminPort'
  return [
    {
      key: moved,
      origin: origins[moved],
      given: quoteGiven(values.httpPort),
      message: 'httpPort and adminPort must differ',
    },
  ]
}

function checkNeeded(
  property: keyof ServeConfig,
  { values, origins }: Resolved<typeof SERVE_SETTINGS>,
): ConfigProblem[] {
  if (values[property] !== undefined) return []
  const message = `this command needs ${fileKeyOf(property)} (${flagOf(property)})`
  return [{ key: fileKeyOf(property), origin: origins[property], message }]
}

/** What more than one thread needs: the fast path, which is what they run, and a system that divides the connections among them. */
function checkThreads({ values, origins }: Resolved<typeof SERVE_SETTINGS>): ConfigProblem[] {
  const { httpThreads, httpFastPath } = values
  if (httpThreads === 1) return []
  const problem = (message: string) => [
    { key: 'httpThreads', origin: origins.httpThreads, given: quoteGiven(httpThreads), message },
  ]
  if (process.platform !== 'linux')
    return problem(`only 1 is allowed on ${process.platform}; more need Linux`)
  return httpFastPath ? [] : problem('only 1 is allowed without httpFastPath, which is all that threads run')
}

/** What a proxy needs: a program that speaks plain HTTP, a port that is told, and owners that may be sent requests. */
function checkProxy({ values, origins }: Resolved<typeof SERVE_SETTINGS>): ConfigProblem[] {
  const { upstream, source } = values
  if (upstream === undefined) return []
  const problem = (key: 'upstream' | 'source' | 'forwardNetworks', given: unknown, message: string) => ({
    key,
    origin: origins[key],
    ...(given === undefined ? {} : { given: quoteGiven(given) }),
    message,
  })
  const { protocol, pathname, port } = new URL(upstream)
  return [
    ...(protocol === 'http:' && pathname === '/' && port !== ''
      ? []
      : [problem('upstream', upstream, 'http://HOST:PORT is allowed')]),
    ...(source === 'memberlist' || source === 'swim'
      ? []
      : [problem('source', source, 'a proxy is a member itself, which only memberlist and swim make it')]),
    ...(values.forwardNetworks === undefined && !trustsAddresses(values)
      ? [
          problem(
            'forwardNetworks',
            undefined,
            `a proxy in a ring without keys needs forwardNetworks (${flagOf('forwardNetworks')}), such as 10.0.0.0/8: whoever gossips could have the requests of users sent anywhere`,
          ),
        ]
      : []),
  ]
}

function readFlags(table: SettingTable, flags: GivenFlags, problems: ConfigProblem[]): Layer {
  const layer = new Map<string, Given>()
  for (const [property, value] of Object.entries(flags.values)) {
    if (value !== undefined) layer.set(property, { value, origin: { kind: 'flag', name: flagOf(property) } })
  }
  const known = Object.keys(table).map(flagOf)
  for (const argument of flags.unknown) {
    const isFlag = argument.startsWith('-')
    const name = (isFlag ? argument.split('=')[0] : undefined) ?? argument
    problems.push({
      key: name,
      origin: { kind: isFlag ? 'flag' : 'argument', name },
      message: isFlag ? unknownMessage('flag', name, known) : 'there is no such argument',
    })
  }
  return layer
}

/** Resolves, then checks values against each other; throws once, with everything that is wrong. */
function settle<Table extends SettingTable>(
  table: Table,
  layers: readonly Layer[],
  problems: readonly ConfigProblem[],
  check: (resolved: Resolved<Table>) => readonly ConfigProblem[],
): Resolved<Table> {
  const resolution = resolveSettings(table, layers)
  const all = [...problems, ...(resolution.ok ? check(resolution.resolved) : resolution.problems)]
  if (!resolution.ok || all.length > 0) throw configError(all)
  return resolution.resolved
}
