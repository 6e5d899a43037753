import { isIP } from 'node:net'
import { networkInterfaces } from 'node:os'
import { isDeepStrictEqual } from 'node:util'
import { leadsToThisMachine } from '../membership/advertised-address.ts'
import { encodeMetadata, type ListedPlace } from '../membership/member.ts'
import { isRingmanError } from '../errors.ts'
import { trustsAddresses, upstreamPlace } from './forward-settings.ts'
import { readEnvironment, type Environment, type IgnoredVariable } from './environment.ts'
import { readConfigFile } from './file.ts'
import type { checkFiles as CheckFiles } from './files.ts'
import type { MemberConfig } from './member-settings.ts'
import { configError, quoteGiven, type ConfigProblem } from './problem.ts'
import { resolveSettings, type Given, type Layer, type Resolved } from './resolve.ts'
import { SERVE_SETTINGS, type ServeConfig } from './serve-settings.ts'
import { fileKeyOf, flagOf, listChoice, type Origin, type SettingTable } from './setting.ts'
import { isUnspecified } from '../addresses.ts'
import { unknownMessage } from '../unknown-name.ts'

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

/**
 * The configuration of `ringman serve`: flags before variables before the file before defaults.
 *
 * @param needs - Settings without a default that must be set.
 * @param checkFiles - Finds what is wrong with the files that settings name. @default they are not read
 * @throws {RingmanError} `CONFIG_INVALID` with every problem of every place in one message; contradictions once every value is good.
 */
export function loadServeConfig(
  flags: GivenFlags,
  env: Environment,
  needs: readonly (keyof ServeConfig)[] = [],
  checkFiles?: typeof CheckFiles,
): LoadedConfig<typeof SERVE_SETTINGS> {
  const { layers, variables, problems } = readLayers(SERVE_SETTINGS, flags, env)
  const resolution = resolveSettings(SERVE_SETTINGS, layers)
  // Also where other settings are wrong, so that all is mended in one go.
  if (checkFiles !== undefined) problems.push(...checkFiles(SERVE_SETTINGS, resolution.resolved))
  const loaded = settle(SERVE_SETTINGS, resolution, problems, (resolved) => {
    const found = [...checkMember(resolved.values, resolved.origins), ...checkServe(resolved, needs)]
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
 * The settings of a command other than `serve`: flags, then variables, then defaults. Only `healthcheck` has a file, the
 * member's; of that it takes where the member listens.
 *
 * @throws {RingmanError} `CONFIG_INVALID` with every problem in one message; contradictions once every value is good.
 */
export function loadCommandConfig<Table extends SettingTable>(
  table: Table,
  flags: GivenFlags,
  env: Environment,
): Resolved<Table> {
  const { layers, problems } = readLayers(table, flags, env)
  return settle(table, resolveSettings(table, layers), problems)
}

/** What flags, variables and the member's file say, the strongest first, with all that is wrong with them. */
function readLayers(table: SettingTable, flags: GivenFlags, env: Environment) {
  const problems: ConfigProblem[] = []
  const flagLayer = readFlags(table, flags, problems)
  const variables = readEnvironment(table, env)
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
 * @param others - Options that are not in the table, and that the caller has taken out: an unknown one may be meant for one.
 * @throws {RingmanError} `CONFIG_INVALID` with every problem in one message; contradictions once every value is good.
 */
export function loadOptions<Table extends SettingTable>(
  table: Table,
  options: Readonly<Record<string, unknown>>,
  check: (resolved: Resolved<Table>) => readonly ConfigProblem[] = () => [],
  others: readonly string[] = [],
): Resolved<Table> {
  const problems: ConfigProblem[] = []
  const layer = new Map<string, Given>()
  for (const [name, value] of Object.entries(options)) {
    const origin = { kind: 'option', name } as const
    if (!Object.hasOwn(table, name)) {
      problems.push({
        key: name,
        origin,
        message: unknownMessage('option', name, [...Object.keys(table), ...others]),
      })
    } else if (value !== undefined) {
      // Only a program can say milliseconds as a number: its option has the unit in its name.
      const inMs = name.endsWith('Ms') && typeof value === 'number'
      layer.set(name, { value: inMs ? `${value}ms` : value, written: value, origin })
    }
  }
  return settle(table, resolveSettings(table, [layer]), problems, check)
}

/** What is wrong with settings that are right by themselves. */
function collectProblems(origins: Readonly<Record<string, Origin>>) {
  const problems: ConfigProblem[] = []
  /** @param from - The setting whose origin is told. */
  const report = (property: string, message: string, given?: unknown, from = property) => {
    problems.push({
      key: fileKeyOf(property),
      origin: origins[from] ?? { kind: 'default' },
      ...(given === undefined ? {} : { given: quoteGiven(given) }),
      message,
    })
  }
  return { problems, report }
}

/** Host and port as everybody spells them: capitals do not count in a name, nor zeros in an IPv6 address. */
function placeOf({ address, port }: ListedPlace): string {
  const url = URL.parse(`http://${isIP(address) === 6 ? `[${address}]` : address}`)
  return `${url?.hostname ?? address.toLowerCase()} ${port}`
}

/** What was set and, as the other settings are, has no effect. */
function checkEffects(table: SettingTable, { values, origins }: Resolved<SettingTable>): ConfigProblem[] {
  const { problems, report } = collectProblems(origins)
  // What is set to its default (templates write those out) would change nothing anyway.
  const isSet = (name: string) => {
    const setting = table[name]
    if (setting === undefined || origins[name]?.kind === 'default') return false
    const { default: value, type } = setting
    return value === undefined || !isDeepStrictEqual(values[name], type.read(value))
  }
  for (const [property, { type, sources, needs, excludes }] of Object.entries(table)) {
    if (!isSet(property)) continue
    const other = excludes?.find(isSet)
    if (sources !== undefined && !sources.some((one) => one === values['source'])) {
      const words = listChoice(sources)
      report(property, `it is only for the source ${words}, and the source is ${String(values['source'])}`)
    } else if (other !== undefined)
      report(property, `either it or ${other} is allowed, and both are set`, type.encode(values[property]))
    // `forward()` of the library has settings of a proxy, and no upstream.
    else if (needs !== undefined && Object.hasOwn(table, needs) && !values[needs])
      report(property, `it has no effect without ${fileKeyOf(needs)} (${flagOf(needs)})`)
  }
  return problems
}

/** What members' settings must be together. */
export function checkMember(member: MemberConfig, origins: Readonly<Record<string, Origin>>) {
  const { problems, report } = collectProblems(origins)
  const { source } = member
  // What is not for the source is refused as such, and nothing else is said of it.
  const isFor = (property: 'kubernetesCheck' | 'seeds') =>
    SERVE_SETTINGS[property].sources.some((one) => one === source)
  const need = (property: keyof MemberConfig, what: string) => {
    if (member[property] !== undefined) return
    const message = `this source needs ${fileKeyOf(property)} (${flagOf(property)}), ${what}`
    report(property, message, source, 'source')
  }
  if (source === 'static') {
    need('staticMembers', 'the list of members')
    for (const [first, ...others] of Map.groupBy(member.staticMembers ?? [], placeOf).values()) {
      if (first === undefined || others.length === 0) continue
      const spelt = new Set(others.map(({ name }) => name))
      spelt.delete(first.name)
      const how = spelt.size === 0 ? '' : `, also as ${[...spelt].map(quoteGiven).join(', ')}`
      report('staticMembers', `it is in the list more than once${how}`, first.name)
    }
  }
  if (source === 'sidecar') {
    need('sidecarService', 'the name of the service')
    need('sidecarServicePort', 'the ServicePort of the service')
  }
  if (source === 'kubernetes') {
    if (member.kubernetesSelector === undefined) {
      const other = `kubernetesSelector (${flagOf('kubernetesSelector')})`
      need('kubernetesService', `the name of a Service, or ${other}`)
    }
  } else if (member.kubernetesPodSelector === undefined) {
    const needed = `needs kubernetesPodSelector (${flagOf('kubernetesPodSelector')}), the labels of the pods`
    if (isFor('kubernetesCheck') && member.kubernetesCheck)
      report('kubernetesPodSelector', `the check ${needed}`, true, 'kubernetesCheck')
    if (isFor('seeds') && member.seeds.some(({ kind }) => kind === 'pods'))
      report('kubernetesPodSelector', `the seed pods: ${needed}`, 'pods:', 'seeds')
  }
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
    report('name', `the name, together with the zone, is too long: ${error.message}`)
  }
  return problems
}

/** Which of a process's own ports is at a place; undefined for none, and for a host name, which is not resolved here. */
function ownPortAt(
  { host, port }: NonNullable<ServeConfig['upstream']>,
  config: ServeConfig,
): 'servicePort' | 'httpPort' | 'adminPort' | undefined {
  const own = (['servicePort', 'httpPort', 'adminPort'] as const).find((name) => config[name] === port)
  if (own === undefined) return undefined
  // Who connects to all addresses comes to loopback.
  const addressesOf = (name: string) => {
    if (/^localhost\.?$/i.test(name)) return ['127.0.0.1', '::1']
    return isIP(name) === 0 ? [] : [name]
  }
  const isHere = addressesOf(isUnspecified(host) ? 'localhost' : host).some(
    (address) =>
      address === config.advertise ||
      addressesOf(config.httpHost).some((bound) => leadsToThisMachine(address, bound, networkInterfaces())),
  )
  return isHere ? own : undefined
}

/** What the other settings of `ringman serve` must be together. */
function checkServe(
  { values, origins }: Resolved<typeof SERVE_SETTINGS>,
  needs: readonly (keyof ServeConfig)[],
): ConfigProblem[] {
  const { problems, report } = collectProblems(origins)
  if (values.httpPort !== 0 && values.httpPort === values.adminPort) {
    const moved = origins.adminPort.kind === 'default' ? 'httpPort' : 'adminPort'
    report(moved, 'httpPort and adminPort must differ', values.httpPort)
  }
  const { upstream, source, httpThreads } = values
  if (upstream !== undefined) {
    const own = ownPortAt(upstream, values)
    if (own !== undefined)
      report(
        'upstream',
        `this process listens there itself (${flagOf(own)}), so that a request would go round and round; the program needs a port of its own`,
        upstreamPlace.encode(upstream),
      )
    if (source !== 'memberlist' && source !== 'swim')
      report('source', 'a proxy is a member itself, which only memberlist and swim make it', source)
    if (values.forwardNetworks === undefined && !trustsAddresses(values)) {
      report(
        'forwardNetworks',
        `a proxy in a ring without keys needs forwardNetworks (${flagOf('forwardNetworks')}), such as 10.0.0.0/8: whoever gossips could have the requests of users sent anywhere`,
      )
    }
  }
  // Threads need a system that divides the connections among them.
  if (httpThreads !== 1 && process.platform !== 'linux')
    report('httpThreads', `only 1 is allowed on ${process.platform}; more need Linux`, httpThreads)
  for (const property of needs) {
    if (values[property] === undefined)
      report(property, `this command needs ${fileKeyOf(property)} (${flagOf(property)})`)
  }
  return problems
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

/** Throws with all problems; values that contradict each other are looked for once each of them is good. */
function settle<Table extends SettingTable>(
  table: Table,
  { resolved, problems: found }: ReturnType<typeof resolveSettings<Table>>,
  problems: readonly ConfigProblem[],
  check: (resolved: Resolved<Table>) => readonly ConfigProblem[] = () => [],
): Resolved<Table> {
  const contradictions = () => [...checkEffects(table, resolved), ...check(resolved)]
  const all = [...problems, ...(found.length > 0 ? found : contradictions())]
  if (all.length > 0) throw configError(all)
  return resolved
}
