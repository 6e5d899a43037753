import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { freePort } from '../../support/free-port.ts'
import { NativeProcess } from '../../support/native-process.ts'
import { proxyProgram, type ProxyName } from '../../support/proxy-programs.ts'
import { eventually, hostOf, PODS } from './fleet.ts'

export const RECIPES = resolve(import.meta.dirname, '../../../examples/proxies')

/** Pieces of a recipe that are other ones in a test: names, ports, and where names are asked for. */
type Replacements = Readonly<Record<string, string>>

/** An address that something answers at. */
interface Place {
  readonly host: string
  readonly port: number
}

/** What a proxy stands in front of. */
export interface Backends {
  readonly dnsAddress: string
  /** Of the application on every pod. */
  readonly applicationPort: number
  readonly lookUps: Place
  readonly application: Place
}

interface Recipe {
  readonly files: readonly [string, ...string[]]
  readonly args: (folder: string) => readonly string[]
  readonly replace: (at: {
    readonly host: string
    readonly port: number
    readonly folder: string
    readonly fleet: Backends
  }) => Replacements
}

/** Where HAProxy listens for itself. */
const INSIDE = hostOf(120)

const RINGMAN = 'ringman.default.svc.cluster.local'
const APPLICATION = 'application.default.svc.cluster.local'

const RECIPE: Readonly<Record<ProxyName, Recipe>> = {
  envoy: {
    files: ['envoy.yaml'],
    args: (folder) => [
      '-c',
      join(folder, 'envoy.yaml'),
      '--concurrency',
      '1',
      '--use-dynamic-base-id',
      '--log-level',
      'warn',
      '--disable-hot-restart',
    ],
    replace: ({ host, port, fleet }) => ({
      'address: 0.0.0.0, port_value: 8000': `address: ${host}, port_value: ${port}`,
      [`address: ${RINGMAN}, port_value: 8080`]: `address: ${fleet.lookUps.host}, port_value: ${fleet.lookUps.port}`,
      [`address: ${PODS}, port_value: 8000`]: `address: ${PODS}, port_value: ${fleet.applicationPort}`,
      'static_resources:': `${envoyResolver(fleet)}\nstatic_resources:`,
    }),
  },
  nginx: {
    files: ['nginx.conf'],
    args: (folder) => [
      '-p',
      folder,
      '-c',
      join(folder, 'nginx.conf'),
      '-e',
      'stderr',
      '-g',
      'daemon off; master_process off;',
    ],
    replace: ({ host, port, folder, fleet }) => ({
      'pid /tmp/nginx.pid;': `pid ${folder}/pid; error_log stderr;`,
      'http {': `http {\n  access_log off;\n${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
        .map((name) => `  ${name}_temp_path ${folder}/${name};`)
        .join('\n')}`,
      'listen 8000;': `listen ${host}:${port};`,
      [`server ${RINGMAN}:8080`]: `server ${fleet.lookUps.host}:${fleet.lookUps.port}`,
      [`server ${APPLICATION}:8000`]: `server ${fleet.application.host}:${fleet.application.port}`,
    }),
  },
  haproxy: {
    files: ['haproxy.cfg', 'ringman.lua'],
    args: (folder) => ['-db', '-f', join(folder, 'haproxy.cfg')],
    replace: ({ host, port, folder, fleet }) => ({
      '/etc/haproxy/ringman.lua': join(folder, 'ringman.lua'),
      'bind :8000': `bind ${host}:${port}`,
      '127.0.0.1:8480': `${INSIDE}:${port}`,
      'parse-resolv-conf': `nameserver test ${fleet.dnsAddress}`,
      [`${PODS}:8000`]: `${PODS}:${fleet.applicationPort}`,
      [`${RINGMAN}:8080`]: `${fleet.lookUps.host}:${fleet.lookUps.port}`,
    }),
  },
  caddy: {
    files: ['Caddyfile'],
    args: (folder) => ['run', '--config', join(folder, 'Caddyfile'), '--adapter', 'caddyfile'],
    replace: ({ host, port, fleet }) => ({
      '\n:8000 {': `\nhttp://:${port} {\n\tbind ${host}`,
      [`${RINGMAN}:8080`]: `${fleet.lookUps.host}:${fleet.lookUps.port}`,
      [`${APPLICATION}:8000`]: `${fleet.application.host}:${fleet.application.port}`,
    }),
  },
}

/** Each listens at an address of its own, where no outgoing connection takes its port. */
const NAMES: readonly string[] = Object.keys(RECIPE)

function envoyResolver({ dnsAddress }: Backends): string {
  const [address = '', port = ''] = dnsAddress.split(':')
  return `typed_dns_resolver_config:
  name: envoy.network.dns_resolver.cares
  typed_config:
    '@type': type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig
    resolvers: [{ socket_address: { address: ${address}, port_value: ${port} } }]
    use_resolvers_as_fallback: false
    dns_resolver_options: { no_default_search_domain: true }`
}

/** A real proxy that runs its recipe in front of a fleet. */
export class Proxy implements AsyncDisposable {
  readonly name: ProxyName
  readonly host: string
  readonly port: number
  readonly #process: NativeProcess
  readonly #folder: string

  private constructor(name: ProxyName, { host, port }: Place, process: NativeProcess, folder: string) {
    this.name = name
    this.host = host
    this.port = port
    this.#process = process
    this.#folder = folder
  }

  /** @param edit - Changes the recipe further, once it has the ports of the test. */
  static async start(
    name: ProxyName,
    fleet: Backends,
    edit: (text: string) => string = (text) => text,
  ): Promise<Proxy> {
    const { files, args, replace } = RECIPE[name]
    const folder = mkdtempSync(join(tmpdir(), `ringman-${name}-`))
    const place = { host: hostOf(101 + NAMES.indexOf(name)), port: await freePort() }
    const replacements = Object.entries(replace({ ...place, folder, fleet }))
    const unused = new Set(replacements.map(([from]) => from))
    for (const file of files) {
      let text = readFileSync(join(RECIPES, file), 'utf8')
      for (const [from, to] of replacements) {
        if (!text.includes(from)) continue
        unused.delete(from)
        text = text.replaceAll(from, to)
      }
      writeFileSync(join(folder, file), edit(text))
    }
    if (unused.size > 0) throw new Error(`the recipe of ${name} has no more: ${[...unused].join('; ')}`)
    const home = { HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder }
    const proxy = new Proxy(
      name,
      place,
      new NativeProcess(await proxyProgram(name), args(folder), home),
      folder,
    )
    await eventually(async () => {
      proxy.#process.assertRunning()
      const answer = await fetch(`${proxy.url}/`)
      if (answer.status !== 200) throw new Error(`${name} answers ${answer.status}\n${proxy.output}`)
      await answer.body?.cancel()
    })
    return proxy
  }

  get url(): string {
    return `http://${this.host}:${this.port}`
  }

  /** The end of what the program wrote. */
  get output(): string {
    return this.#process.output
  }

  get pid(): number {
    return this.#process.pid
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process.kill()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
