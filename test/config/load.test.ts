import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { loadCommandConfig, loadOptions, loadServeConfig } from '../../src/config/load.ts'
import { CLIENT_SETTINGS } from '../../src/config/client-settings.ts'
import { FORWARD_OPTIONS } from '../../src/config/forward-settings.ts'
import { SERVE_SETTINGS } from '../../src/config/serve-settings.ts'
import { encodeValues, fileKeyOf, flagOf, variableOf } from '../../src/config/setting.ts'
import { encodeMetadata } from '../../src/membership/member.ts'
import { isRingmanError } from '../../src/errors.ts'

const directory = mkdtempSync(join(tmpdir(), 'ringman-config-'))
afterAll(() => {
  rmSync(directory, { recursive: true })
})

let files = 0
function file(text: string, extension = 'yaml'): string {
  const path = join(directory, `${files++}.${extension}`)
  writeFileSync(path, text)
  return path
}

function pipe(): string {
  const path = join(directory, 'pipe')
  execFileSync('mkfifo', [path])
  return path
}

function load(
  flags: Record<string, string> = {},
  env: Record<string, string> = {},
  unknown: readonly string[] = [],
) {
  return loadServeConfig({ values: flags, unknown }, env)
}

/** The keys of all problems, sorted; undefined where there are none. */
function problemKeys(run: () => unknown): readonly string[] | undefined {
  try {
    run()
    return undefined
  } catch (error) {
    if (!isRingmanError(error)) throw error
    expect(error.code).toBe('CONFIG_INVALID')
    return [...(error.detail['keys'] as readonly string[])].sort()
  }
}

test('any zone that is allowed leaves room in the metadata for all that a member may come to say', () => {
  // A quote is one byte, and two in JSON.
  const zones = [0, 30, 64, 92, 128].flatMap((quotes) =>
    ['z', 'é', '王'].flatMap((letter) =>
      Array.from({ length: 129 - quotes }, (_, count) => '"'.repeat(quotes) + letter.repeat(count)),
    ),
  )
  const allowed = zones.filter((zone) => zone !== '' && problemKeys(() => load({ zone })) === undefined)
  expect(allowed.length).toBeGreaterThan(100)
  for (const zone of allowed) {
    const metadata = {
      servicePort: '65535',
      weight: 1000,
      zone,
      witness: true,
      httpPort: 65_535,
      level: 255,
      adminPort: 65_535,
      drained: true,
      handover: { phase: 'weighing', number: 2 ** 32 - 1, weight: 1000 },
      version: '1'.repeat(32),
    } as const
    expect(() => encodeMetadata(metadata), zone).not.toThrow()
  }
})

describe('the defaults', () => {
  test('are those that scripts and charts rely on', () => {
    const { values, origins, warnings } = load()
    expect(values).toMatchObject({
      source: 'memberlist',
      bind: '0.0.0.0',
      gossipPort: 7946,
      servicePort: 8000,
      httpHost: '0.0.0.0',
      httpPort: 8080,
      adminPort: 8081,
      seeds: [],
      ringKey: 'address',
      preset: 'lan',
      minMembers: 1,
      drainMs: 5000,
      logLevel: 'info',
    })
    expect(values.name).not.toBe('')
    expect(values.advertise).toBeUndefined()
    expect(new Set(Object.values(origins).map(({ kind }) => kind))).toEqual(new Set(['default']))
    expect(warnings).toEqual([])
  })

  test('every default is a value that is allowed, and shows as it was written', () => {
    for (const [property, setting] of Object.entries(SERVE_SETTINGS)) {
      if (!('default' in setting) || setting.default === '') continue
      const value = setting.type.read(setting.default)
      const shown = setting.type.encode(value as never)
      expect(Array.isArray(shown) ? shown.join(',') : shown, property).toBe(setting.default)
    }
  })

  test('are frozen, all the way down', () => {
    const { values, origins } = load({ source: 'static', staticMembers: 'a:1,b:2=3' })
    expect(() => Object.assign(values, { httpPort: 1 })).toThrow(TypeError)
    expect(() => Object.assign(values.staticMembers?.[0] ?? {}, { port: 2 })).toThrow(TypeError)
    expect(() => Object.assign(values.seeds, ['x'])).toThrow(TypeError)
    expect(() => Object.assign(origins.name, { kind: 'flag' })).toThrow(TypeError)
  })
})

describe('names', () => {
  test.each([
    ['httpPort', '--http-port', 'RINGMAN_HTTP_PORT', 'httpPort'],
    ['drainMs', '--drain', 'RINGMAN_DRAIN', 'drain'],
    ['minMembersTimeoutMs', '--min-members-timeout', 'RINGMAN_MIN_MEMBERS_TIMEOUT', 'minMembersTimeout'],
    ['maxKeyBytes', '--max-key', 'RINGMAN_MAX_KEY', 'maxKey'],
  ])('%s is %s, %s and %s', (property, flag, variable, key) => {
    expect([flagOf(property), variableOf(property), fileKeyOf(property)]).toEqual([flag, variable, key])
  })

  test('are told apart: no two settings share a flag', () => {
    const flags = [...Object.keys(SERVE_SETTINGS), ...Object.keys(CLIENT_SETTINGS)].map(flagOf)
    expect(new Set(flags).size).toBe(flags.length)
  })
})

describe('precedence', () => {
  test('is flags, variables, file, defaults, for each key by itself', () => {
    const path = file('httpPort: 3\nadminPort: 3\ngossipPort: 3\n')
    const { values, origins } = load(
      { httpPort: '1', config: path },
      { RINGMAN_HTTP_PORT: '2', RINGMAN_ADMIN_PORT: '2' },
    )
    expect(values).toMatchObject({ httpPort: 1, adminPort: 2, gossipPort: 3, servicePort: 8000 })
    expect(origins).toMatchObject({
      httpPort: { kind: 'flag', name: '--http-port' },
      adminPort: { kind: 'variable', name: 'RINGMAN_ADMIN_PORT' },
      gossipPort: { kind: 'file', path, key: 'gossipPort' },
      servicePort: { kind: 'default' },
    })
  })

  test('the file can be named by a variable, and a flag names another one', () => {
    const byVariable = file('httpPort: 1000\n')
    const byFlag = file('httpPort: 2000\n')
    const env = { RINGMAN_CONFIG: byVariable }
    expect(load({}, env).values.httpPort).toBe(1000)
    expect(load({ config: byFlag }, env).values.httpPort).toBe(2000)
  })

  test('an empty variable and a key without a value count as not set', () => {
    const { values } = load(
      { config: file('advertise:\nhttpPort: null\n') },
      { RINGMAN_ZONE: '', RINGMAN_HTTP_PORT: '' },
    )
    expect(values).toMatchObject({ advertise: undefined, zone: undefined, httpPort: 8080 })
  })
})

describe('values', () => {
  test.each([
    ['drainMs', '0', 0],
    ['drainMs', '500ms', 500],
    ['drainMs', '1.5s', 1500],
    ['drainMs', '2m', 120_000],
    ['drainMs', '1h', 3_600_000],
    ['httpPort', '0', 0],
    ['httpPort', '65535', 65_535],
    ['weight', '1000', 1000],
    ['maxKeyBytes', '512', 512],
    ['maxKeyBytes', '1MiB', 1_048_576],
    ['seeds', 'a:1, b::2', undefined],
    [
      'seeds',
      'a:1, dns:b.c ,',
      [
        { kind: 'host', name: 'a', port: 1 },
        { kind: 'dns', name: 'b.c' },
      ],
    ],
    ['advertise', 'fd00::1', 'fd00::1'],
    ['bind', '::', '::'],
    ['ringKey', 'name', 'name'],
    ['label', 'é'.repeat(127), 'é'.repeat(127)],
    ['label', 'é'.repeat(128), undefined],
    ['label', 'x'.repeat(256), undefined],
    ['zone', '王'.repeat(66), '王'.repeat(66)],
    ['zone', '王'.repeat(67), undefined],
    ['drainMs', '5', undefined],
    ['drainMs', '-5s', undefined],
    ['drainMs', '2h', undefined],
    ['drainMs', 's', undefined],
    ['httpPort', '65536', undefined],
    ['httpPort', '-1', undefined],
    ['httpPort', '80.5', undefined],
    ['httpPort', '0x50', undefined],
    ['httpPort', ' ', undefined],
    ['servicePort', '0', undefined],
    ['weight', '0', undefined],
    ['maxKeyBytes', '2MiB', undefined],
    ['advertise', '0.0.0.0', undefined],
    ['advertise', '::', undefined],
    ['advertise', 'host.name', undefined],
    ['bind', '300.0.0.1', undefined],
    ['name', 'with space', undefined],
    ['name', 'line\nbreak', undefined],
    ['name', 'x'.repeat(129), undefined],
    ['source', 'gossip', undefined],
  ])('%s takes %j as %j', (property, text, expected) => {
    const run = () => load({ [property]: text }).values[property as 'name']
    if (expected === undefined) expect(problemKeys(run)).toContain(fileKeyOf(property))
    else expect(run()).toEqual(expected)
  })

  test('the file holds numbers, lists and text alike', () => {
    const { values } = load({
      config: file(
        'source: static\nstaticMembers:\n  - 10.0.0.1:8000\n  - "[::1]:8000=3"\nhttpPort: "9000"\ndrain: 0\n',
      ),
    })
    expect(values).toMatchObject({
      staticMembers: [
        { address: '10.0.0.1', port: 8000 },
        { address: '::1', port: 8000, weight: 3 },
      ],
      httpPort: 9000,
      drainMs: 0,
    })
    // Some editors write a byte order mark.
    for (const form of ['json', 'yaml'] as const) {
      expect(load({ config: file('\ufeff{"httpPort": 9}', form) }).values).toMatchObject({ httpPort: 9 })
    }
    expect(load({ config: file('{"seeds": "a,b", "httpPort": 9}', 'json') }).values).toMatchObject({
      seeds: [{ name: 'a' }, { name: 'b' }],
      httpPort: 9,
    })
  })

  test.each([
    ['a duration without unit', 'drain: 5', ['drain']],
    ['a list for a number', 'httpPort: [1]', ['httpPort']],
    ['true for a word', 'name: true', ['name']],
    [
      'each bad item of a list',
      'source: static\nstaticMembers: [a:1, b, "c:0"]',
      ['staticMembers', 'staticMembers'],
    ],
    ['an unknown key', 'gossip-port: 1', ['gossip-port']],
    ['a key of another place', 'config: x', ['config']],
    ['a key that objects inherit', 'constructor: 1\n__proto__: 2', ['__proto__', 'constructor']],
    ['a repeated key', 'httpPort: 1\nhttpPort: 2', ['config']],
    ['a list for the whole', '- 1', ['config']],
    ['what is no YAML', 'a: [', ['config']],
  ])('the file is refused for %s', (_, text, keys) => {
    expect(problemKeys(() => load({ config: file(text) }))).toEqual(keys)
  })

  test.each([
    ['has itself in it', 'seeds: &a [*a]', 'yaml', '[ [Circular *1] ]'],
    [
      'has thousands of lists in each other',
      `{"seeds": ${'['.repeat(200_000)}${']'.repeat(200_000)}}`,
      'json',
      '[Array]',
    ],
  ])('a list that %s is refused as any that is wrong', (_, text, extension, shown) => {
    const loading = () => load({ config: file(text, extension) })
    expect(problemKeys(loading)).toEqual(['seeds'])
    expect(loading).toThrow(shown)
  })

  test.each([
    ['is not there', () => join(directory, 'none.yaml'), 'there is no such file'],
    ['is a folder', () => directory, 'it is no plain file'],
    ['has no end', () => '/dev/zero', 'it is no plain file'],
    ['is a pipe that nobody writes to', pipe, 'it is no plain file'],
    ['is longer than any', () => file(`#${'x'.repeat(2 ** 22)}`), 'longer than the 4194304 bytes'],
  ])('a file that %s is refused, and the refusal says so', (_, make, said) => {
    expect(() => load({ config: make() })).toThrow(said)
  })

  test('a file may list thousands of members', () => {
    const members = Array.from({ length: 5000 }, (_, at) => `10.0.${at >> 8}.${at & 255}:8000`)
    const path = file(JSON.stringify({ source: 'static', staticMembers: members }))
    expect(load({ config: path }).values.staticMembers).toHaveLength(5000)
  })

  test('bad JSON is refused; an empty file is not', () => {
    expect(problemKeys(() => load({ config: file('httpPort: 1', 'json') }))).toEqual(['config'])
    expect(problemKeys(() => load({ config: file('# nothing\n') }))).toBeUndefined()
  })
})

describe('problems', () => {
  test('of all places come in one error', () => {
    const path = file('gossipPrt: 1\nweight: heavy\n')
    const keys = problemKeys(() =>
      load({ httpPort: '99999', config: path }, { RINGMAN_DRIAN: '5s', RINGMAN_LOG_LEVEL: 'loud' }, [
        '--htp-port=1',
        'stray',
      ]),
    )
    expect(keys).toEqual([
      '--htp-port',
      'RINGMAN_DRIAN',
      'gossipPrt',
      'httpPort',
      'logLevel',
      'stray',
      'weight',
    ])
  })

  test('name the key, its origin, what was given and what is allowed', () => {
    expect(() => load({ httpPort: '99999' })).toThrow(/--http-port.*"99999".*0 to 65535/)
    expect(() => load({}, { RINGMAN_DRAIN: 'soon' })).toThrow(
      /RINGMAN_DRAIN.*"soon".*from 0s to 1h, with its unit: ms, s, m or h/,
    )
    expect(() => load({}, { RINGMAN_DRIAN: 'x' })).toThrow(/RINGMAN_DRAIN\?/)
    expect(() => load({ source: 'static', staticMembers: 'a:1,b:1,a:1=2' })).toThrow(
      /--static-members "a:1": it is in the list more than once$/,
    )
    expect(() => load({ source: 'static', staticMembers: 'a:80,A:80,[::1]:80,[0:0::1]:80' })).toThrow(
      /"a:80": it is in the list more than once, also as "A:80"\n.*"::1:80": it .*, also as "0:0::1:80"$/,
    )
    expect(() => load({}, {}, ['--servce-port'])).toThrow(/--service-port\?/)
    // What nobody gave has no place that could be named.
    expect(() => loadServeConfig({ values: {}, unknown: [] }, {}, ['upstream'])).toThrow(
      /^bad configuration: this command needs upstream \(--upstream\)$/,
    )
    expect(() => load({ upstream: 'http://127.0.0.1:3000' })).toThrow(
      /^bad configuration: a proxy .*--forward-networks/,
    )
    const path = file('http-port: 1')
    expect(() => load({ config: path })).toThrow(new RegExp(`http-port in ${path}.*httpPort\\?`))
    expect(() => load({}, { RINGMAN_NAME: `${'x'.repeat(5000)} ` })).toThrow(/^.{0,250}$/)
  })

  test.each([
    ['0123', '123', 'number'],
    ['1.0', '1', 'number'],
    ['true', 'true', 'boolean'],
  ])('text that YAML takes for another value says so: %s', (written, shown, kind) => {
    for (const key of ['name', 'seeds']) {
      const said = ` ${shown}: allowed: .* without quotes it is a ${kind}$`
      expect(() =>
        load({ config: file(key === 'name' ? `name: ${written}` : `seeds: [${written}]`) }),
      ).toThrow(new RegExp(said))
    }
    // These have forms of their own, and quotes do not help.
    for (const key of ['drain', 'httpThreads', 'source', 'delegateVersions'])
      expect(() => load({ config: file(`${key}: [${written}]`) })).toThrow(/: allowed: (?!.*quotes)/)
  })

  test.each([
    ['requireEncryption', 'false', 'keyringFile', { keyringFile: 'keys' }],
    ['encryptOutgoing', 'false', 'keyringFile', { keyringFile: 'keys' }],
    ['keyHeader', 'x-user', 'upstream', { upstream: 'a:1', forwardNetworks: '10.0.0.0/8' }],
    ['forwardNetworks', '10.0.0.0/8', 'upstream', { upstream: 'a:1' }],
    ['forwardTimeoutMs', '5s', 'upstream', { upstream: 'a:1', forwardNetworks: '10.0.0.0/8' }],
    ['forwardWhenBehind', 'serve', 'upstream', { upstream: 'a:1', forwardNetworks: '10.0.0.0/8' }],
    ['forwardWaitMs', '5s', 'upstream', { upstream: 'a:1', forwardNetworks: '10.0.0.0/8' }],
    ['hashRingNamespaces', 'shop', 'hashRings', { hashRings: 'true' }],
    ['hashRingPublish', 'true', 'hashRings', { hashRings: 'true' }],
    ['hashRingInstallation', 'one', 'hashRings', { hashRings: 'true' }],
    ['sidecarRefetchMs', '5s', 'sidecarUrl', { sidecarUrl: 'http://a' }],
    ['sidecarWatch', 'true', 'sidecarUrl', { sidecarUrl: 'http://a' }],
  ])('%s %s is refused without %s, which it needs for any effect', (property, value, needed, others) => {
    const sidecar = { source: 'sidecar', sidecarService: 'a', sidecarServicePort: '1' }
    const given = { ...(needed === 'sidecarUrl' ? sidecar : {}), [property]: value }
    const run = () => load(given)
    expect(problemKeys(run)).toEqual([fileKeyOf(property)])
    expect(run).toThrow(`flag ${flagOf(property)}: it has no effect without ${needed} (${flagOf(needed)})`)
    expect(problemKeys(() => load({ ...given, ...others }))).toBeUndefined()
    // By whatever way it was given.
    const env = {
      ...(needed === 'sidecarUrl' ? { RINGMAN_SOURCE: 'sidecar' } : {}),
      [variableOf(property)]: value,
    }
    expect(problemKeys(() => load({}, env))).toContain(fileKeyOf(property))
  })

  const SOURCES = {
    memberlist: {},
    swim: {},
    sidecar: { sidecarService: 'a', sidecarServicePort: '1' },
    kubernetes: { kubernetesService: 'a' },
    static: { staticMembers: 'a:1' },
  }

  test.each(Object.entries(SOURCES))(
    'every default may be written out with the source %s',
    (source, needed) => {
      const { values } = load({ source, ...needed })
      const text = JSON.stringify(encodeValues(SERVE_SETTINGS, values))
      expect(load({ config: file(text) }).values).toEqual({ ...values, config: expect.anything() })
    },
  )

  test('a default may be written out in other words, and beside what it has no effect with', () => {
    for (const given of [
      { sidecarRefetchMs: '30000ms', source: 'swim' },
      { hashRingNamespaces: '' },
      { httpThreads: '1', httpFastPath: 'false' },
      { forwardWaitMs: '2000ms', forwardWhenBehind: 'serve', upstream: 'a:1', forwardNetworks: '10.0.0.0/8' },
      { forwardWaitMs: '5s', forwardWhenBehind: 'wait', upstream: 'a:1', forwardNetworks: '10.0.0.0/8' },
    ])
      expect(
        problemKeys(() => load(given)),
        JSON.stringify(given),
      ).toBeUndefined()
  })

  test('who is served at once waits for no time', () => {
    const given = { forwardWaitMs: '5s', upstream: 'a:1', forwardNetworks: '10.0.0.0/8' }
    expect(() => load({ ...given, forwardWhenBehind: 'serve' })).toThrow(
      'flag --forward-wait "5s": either it or forwardWhenBehind is allowed, and both are set',
    )
    const options = { whenBehind: 'serve', waitMs: 5000 }
    expect(problemKeys(() => loadOptions(FORWARD_OPTIONS, options))).toEqual(['wait'])
    expect(
      problemKeys(() => loadOptions(FORWARD_OPTIONS, { ...options, whenBehind: 'wait' })),
    ).toBeUndefined()
  })

  test.each([
    ['http://127.0.0.1:80', { host: '127.0.0.1', port: 80 }],
    ['http://localhost:80/', { host: 'localhost', port: 80 }],
    ['127.0.0.1:80', { host: '127.0.0.1', port: 80 }],
    ['http://[::1]:3000', { host: '::1', port: 3000 }],
    ['http://127.0.0.1:0', undefined],
    ['https://127.0.0.1:443', undefined],
    ['http://127.0.0.1:3000/path', undefined],
    ['http://127.0.0.1:3000?query', undefined],
    ['http://user@127.0.0.1:3000', undefined],
    ['LOCALHOST:3000', { host: 'localhost', port: 3000 }],
    ['[::1]:3000', { host: '::1', port: 3000 }],
    ['http://program', undefined],
    ['program', undefined],
    ['3000', undefined],
    ['1234:80', undefined],
    ['::1:3000', undefined],
    ['http://program:65536', undefined],
    ['http://pro gram:80', undefined],
  ])('a proxy stands in front of %s: %j', (upstream, place) => {
    const run = () => load({ upstream, forwardNetworks: '127.0.0.0/8' }).values.upstream
    if (place === undefined) {
      expect(problemKeys(run)).toEqual(['upstream'])
      expect(run).toThrow(/allowed: http:\/\/HOST:PORT$/)
    } else expect(run()).toEqual(place)
  })

  const PROXY = { forwardNetworks: '127.0.0.0/8', servicePort: '8000', httpPort: '8100', adminPort: '8200' }

  test.each<[string, string, Readonly<Record<string, string>>?]>([
    ['http://127.0.0.1:8000', '--service-port'],
    ['http://localhost:8000', '--service-port'],
    ['http://localhost.:8000', '--service-port'],
    ['http://127.9.9.9:8000', '--service-port'],
    ['http://0.0.0.0:8000', '--service-port'],
    ['http://[::]:8000', '--service-port'],
    ['http://[::1]:8000', '--service-port'],
    ['http://[::ffff:7f00:1]:8000', '--service-port'],
    ['http://localhost:8100', '--http-port'],
    ['http://localhost:8200', '--admin-port'],
    ['http://10.1.2.3:8000', '--service-port', { advertise: '10.1.2.3' }],
    ['http://10.1.2.3:8000', '--service-port', { httpHost: '10.1.2.3' }],
    ['http://localhost:8000', '--service-port', { httpHost: 'localhost' }],
  ])('a proxy is not in front of itself at %s: %s', (upstream, own, settings = {}) => {
    expect(() => load({ ...PROXY, ...settings, upstream })).toThrow(
      `flag --upstream ${JSON.stringify(upstream)}: this process listens there itself (${own}), so that a request would go round and round; the program needs a port of its own`,
    )
  })

  test.each<[string, Readonly<Record<string, string>>?]>([
    ['http://127.0.0.1:8001'],
    ['http://program:8000'],
    ['http://192.0.2.1:8000'],
    // It listens at another address of the machine alone.
    ['http://localhost:8000', { httpHost: '10.1.2.3' }],
    ['http://127.0.0.1:8001', { httpHost: 'localhost' }],
    ['http://127.0.0.1:8000', { httpHost: 'member.example' }],
  ])('a proxy may be in front of a program at %s', (upstream, settings = {}) => {
    const { values } = load({ ...PROXY, ...settings, upstream })
    expect(encodeValues(SERVE_SETTINGS, values)['upstream']).toBe(upstream)
  })

  test('a bad value is one also where a stronger place sets another', () => {
    expect(problemKeys(() => load({ httpPort: '1' }, { RINGMAN_HTTP_PORT: 'x' }))).toEqual(['httpPort'])
  })

  test.each([
    ['static without its list', { source: 'static' }, ['staticMembers']],
    ['a static list with another source', { staticMembers: 'a:1' }, ['staticMembers']],
    ['seeds with the static list', { source: 'static', staticMembers: 'a:1', seeds: 'b' }, ['seeds']],
    [
      'gossip settings with the static list',
      { source: 'static', staticMembers: 'a:1', bind: '127.0.0.1', gossipPort: '1' },
      ['bind', 'gossipPort'],
    ],
    [
      'a member that the static list has twice',
      { source: 'static', staticMembers: '10.0.0.1:8000,b:1,10.0.0.1:8000=2' },
      ['staticMembers'],
    ],
    [
      'the seed pods: with the static list',
      { source: 'static', staticMembers: 'a:1', seeds: 'pods:' },
      ['seeds'],
    ],
    [
      'the check of pods with the source sidecar',
      { source: 'sidecar', sidecarService: 's', sidecarServicePort: '1', kubernetesCheck: 'true' },
      ['kubernetesCheck'],
    ],
    [
      'the check of pods with the source swim',
      { source: 'swim', kubernetesCheck: 'true' },
      ['kubernetesCheck'],
    ],
    ['a label beside a file of labels', { label: 'a', labelFile: 'b' }, ['labelFile']],
    [
      'two labels with the static list',
      { source: 'static', staticMembers: 'a:1', label: 'a', labelFile: 'b' },
      ['label', 'labelFile'],
    ],
    ['one port for two servers', { httpPort: '8081' }, ['httpPort']],
    ['metadata that is too long together', { name: 'é'.repeat(128), zone: '王'.repeat(66) }, ['name']],
  ])('%s is refused', (_, flags, keys) => {
    expect(problemKeys(() => load(flags as Record<string, string>))).toEqual(keys)
  })

  test('two free ports are no clash', () => {
    expect(load({ httpPort: '0', adminPort: '0' }).values).toMatchObject({ httpPort: 0, adminPort: 0 })
  })
})

describe('variables', () => {
  const links = {
    RINGMAN_SERVICE_HOST: '10.96.0.7',
    RINGMAN_SERVICE_PORT: '8080',
    RINGMAN_SERVICE_PORT_HTTP: '8080',
    RINGMAN_PORT: 'tcp://10.96.0.7:8080',
    RINGMAN_PORT_8080_TCP: 'tcp://10.96.0.7:8080',
    RINGMAN_PORT_8080_TCP_PROTO: 'tcp',
    RINGMAN_PORT_8080_TCP_PORT: '8080',
    RINGMAN_PORT_8080_TCP_ADDR: '10.96.0.7',
  }

  test('of a Kubernetes Service called ringman are ignored, the ambiguous one with a warning', () => {
    const { values, origins, warnings } = load({}, links)
    expect(values.servicePort).toBe(8000)
    expect(origins.servicePort.kind).toBe('default')
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toContain('RINGMAN_SERVICE_PORT')
  })

  test('a service port that is not the Service’s, or that a flag sets, is meant', () => {
    expect(load({}, { ...links, RINGMAN_SERVICE_PORT: '9000' })).toMatchObject({
      values: { servicePort: 9000 },
      warnings: [],
    })
    expect(load({ servicePort: '8080' }, links)).toMatchObject({
      values: { servicePort: 8080 },
      warnings: [],
    })
    expect(load({}, { RINGMAN_SERVICE_PORT: '8080' }).values.servicePort).toBe(8080)
  })

  test('of a Service ringman-sidecar the port is not taken for the one of the setting, and it is said so', () => {
    const sidecarLinks = {
      RINGMAN_SIDECAR_SERVICE_HOST: '10.96.0.10',
      RINGMAN_SIDECAR_SERVICE_PORT: '7777',
      RINGMAN_SIDECAR_PORT: 'tcp://10.96.0.10:7777',
    }
    const flags = { source: 'sidecar', sidecarService: 's' }
    const set = load({ ...flags, sidecarServicePort: '80' }, sidecarLinks)
    expect([set.values.sidecarServicePort, set.warnings]).toEqual([80, []])
    expect(() => load(flags, sidecarLinks)).toThrow(
      /RINGMAN_SIDECAR_SERVICE_PORT "7777": it comes from the Kubernetes Service "ringman-sidecar"/,
    )
    expect(load({}, sidecarLinks).warnings).toHaveLength(1)
    // Another port than Kubernetes says is the operator's.
    const own = load(flags, { ...sidecarLinks, RINGMAN_SIDECAR_SERVICE_PORT: '81' })
    expect(own.values.sidecarServicePort).toBe(81)
  })

  test('of Services called ringman-… are ignored, also where they look like a setting', () => {
    const env = {
      RINGMAN_HTTP_SERVICE_HOST: '10.96.0.8',
      RINGMAN_HTTP_SERVICE_PORT: '80',
      RINGMAN_HTTP_PORT: 'tcp://10.96.0.8:80',
      RINGMAN_HTTP_PORT_80_TCP_ADDR: '10.96.0.8',
      RINGMAN_SERVICE_PORT: 'udp://10.96.0.9:53',
    }
    expect(load({}, env)).toMatchObject({ values: { httpPort: 8080, servicePort: 8000 }, warnings: [] })
  })

  test('that only look like links are refused', () => {
    expect(problemKeys(() => load({}, { RINGMAN_HTTP_SERVICE_PORT: '80' }))).toEqual([
      'RINGMAN_HTTP_SERVICE_PORT',
    ])
    expect(problemKeys(() => load({}, { RINGMAN_PORT: '80' }))).toEqual(['RINGMAN_PORT'])
  })

  test('of other commands are no error, and those of other programs are not ours', () => {
    expect(load({}, { RINGMAN_URL: 'http://x', RINGMANIA: '1', PATH: '/bin' }).warnings).toEqual([])
  })
})

describe('the commands that ask a member', () => {
  const client = (flags: Record<string, string>, env: Record<string, string> = {}) =>
    loadCommandConfig(CLIENT_SETTINGS, { values: flags, unknown: [] }, env)

  test('take flags, then variables, then defaults', () => {
    expect(client({}).values).toEqual({ url: ['http://127.0.0.1:8080'], timeoutMs: 5000 })
    const env = { RINGMAN_URL: 'http://a:1/,https://b/base/', RINGMAN_HTTP_PORT: '7' }
    expect(client({ timeoutMs: '1s' }, env).values).toEqual({
      url: ['http://a:1', 'https://b/base'],
      timeoutMs: 1000,
    })
  })

  test('take HOST[:PORT] for a URL', () => {
    expect(client({ url: 'a,a:81,10.0.0.1:82,[::1],[::1]:83,http://a' }).values.url).toEqual([
      'http://a:8080',
      'http://a:81',
      'http://10.0.0.1:82',
      'http://[::1]:8080',
      'http://[::1]:83',
      'http://a',
    ])
  })

  test.each(['host:', 'ftp://a', 'http://u:p@a', 'http://a?b', 'http://a#b', '', '8081', 'http://8081'])(
    'refuse the URL %j',
    (url) => {
      expect(problemKeys(() => client({ url }))).toEqual(['url'])
    },
  )
})
