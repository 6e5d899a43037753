import { readFileSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { buildImage, type BuiltImage } from '../../support/container-images.ts'
import { ContainerLab, untilAgreed } from '../../support/container-lab.ts'
import { podman, requireContainerTools } from '../../support/containers.ts'
import type { ImageContents } from './image-probe.ts'

/** How often the start is measured; the median counts. */
const STARTS = 5

const MB = 1e6

let image: BuiltImage
let lab: ContainerLab

beforeAll(async () => {
  requireContainerTools()
  image = await buildImage()
  const how = image.buildMs === undefined ? 'from the same files before' : `in ${seconds(image.buildMs)}`
  console.log(`${image.name} was built ${how}`)
  lab = await ContainerLab.open(image.name)
})

afterAll(async () => {
  await lab?.[Symbol.asyncDispose]()
})

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`
}

/** How long a process's first thread has run, and how long it stood in line for a processor, in milliseconds. */
function processorTimes(pid: number): { readonly ranMs: number; readonly waitedMs: number } {
  const [ran, waited] = readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ').map(Number)
  return { ranMs: (ran ?? Number.NaN) / 1e6, waitedMs: (waited ?? Number.NaN) / 1e6 }
}

/** What the image says of itself. */
async function configuration() {
  const [inspected] = JSON.parse(await podman(['image', 'inspect', image.name])) as {
    readonly Size: number
    readonly User: string
    readonly Labels: Readonly<Record<string, string>>
    readonly Healthcheck: Readonly<Record<string, unknown>>
    readonly Config: {
      readonly Entrypoint: readonly string[]
      readonly Cmd: readonly string[]
      readonly ExposedPorts: Readonly<Record<string, object>>
      readonly Env: readonly string[]
    }
  }[]
  if (inspected === undefined) throw new Error('the image is gone')
  return inspected
}

/** The production part of the lock file: package folders that must be there, and those that may. */
function lockedPackages(): { readonly needed: string[]; readonly allowed: Set<string> } {
  const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
    packages: Record<string, { dev?: true; optional?: true; devOptional?: true; peer?: true; link?: true }>
  }
  const production = Object.entries(packages).filter(
    ([path, { dev, link }]) => path.startsWith('node_modules/') && dev !== true && link !== true,
  )
  return {
    needed: production
      .filter(([, { optional, devOptional, peer }]) => !(optional ?? devOptional ?? peer ?? false))
      .map(([path]) => path)
      // These have no code, so nothing of them is left.
      .filter((path) => !path.includes('@types/'))
      .sort(),
    allowed: new Set(production.map(([path]) => path)),
  }
}

describe('what is in the image', () => {
  test('is small', async () => {
    const { Size: size } = await configuration()
    const [base] = JSON.parse(await podman(['image', 'inspect', image.base])) as { Size: number }[]
    const nodeBytes = statSync(process.execPath).size
    const own = size - (base?.Size ?? 0) - nodeBytes
    const sizes = Object.entries({ all: size, Debian: base?.Size ?? 0, 'Node.js': nodeBytes, ringman: own })
    console.log(`Sizes: ${sizes.map(([what, bytes]) => `${what} ${(bytes / MB).toFixed(1)} MB`).join(', ')}`)
    expect(size).toBeLessThan(250 * MB)
    expect(own).toBeLessThan(100 * MB)
    expect(own).toBeGreaterThan(MB)
  })

  test('says what it is and how it is run', async () => {
    const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
    const { User: user, Labels: labels, Config: config, Healthcheck: healthcheck } = await configuration()
    expect(user).toBe('65532:65532')
    expect(config.Entrypoint).toEqual(['ringman'])
    expect(config.Cmd).toEqual(['serve'])
    expect(Object.keys(config.ExposedPorts).sort()).toEqual(['7946/tcp', '7946/udp', '8080/tcp', '8081/tcp'])
    expect(healthcheck).toMatchObject({ Test: ['CMD', 'ringman', 'healthcheck'], Interval: 30e9, Retries: 3 })
    expect(labels).toMatchObject({
      'org.opencontainers.image.title': 'ringman',
      'org.opencontainers.image.licenses': 'MIT',
      'org.opencontainers.image.version': version,
      'org.opencontainers.image.revision': image.revision,
    })
    expect((await lab.command(['--version'])).out).toBe(`${version}\n`)
  })

  test('is production code alone, whole, and not writable', async () => {
    const probe = resolve(import.meta.dirname, 'image-probe.ts')
    const { out, err, code } = await lab.command(
      ['--experimental-import-meta-resolve', '/probe.ts'],
      ['--entrypoint', 'node', '--volume', `${probe}:/probe.ts:ro`],
    )
    expect([code, err]).toEqual([0, ''])
    const found = JSON.parse(out) as ImageContents
    expect(found.uid).toBe(65532)
    expect(found.writable).toEqual([])
    // Every package that the lock file has for production, and none that it does not.
    const { needed, allowed } = lockedPackages()
    expect(needed.filter((path) => !found.packages.includes(path))).toEqual([])
    expect(found.packages.filter((path) => !allowed.has(path))).toEqual([])
    expect(found.packages.join()).not.toMatch(/vitest|typescript|oxlint|prettier|node-linux|ringman-node/)
    // What was cut away was not needed.
    expect(found.missing).toEqual([])
    expect(found.imported).toContain('koa')
    expect(found.imported.length).toBeGreaterThan(5)
    expect(found.files.filter((path) => /\.(?:map|[cm]?ts|bare)$/.test(path))).toEqual([])
    expect(found.files.filter((path) => /\/licen[cs]e/i.test(path)).length).toBeGreaterThan(100)
    expect(found.files).toContain('/opt/ringman/dist/cli.js')
  })
})

describe('how it runs', () => {
  test('not as root, without capabilities, on a read-only root', async () => {
    const member = await lab.start({ name: 'confined' })
    await member.untilReady()
    const status = readFileSync(`/proc/${member.pid}/status`, 'utf8')
    const field = (name: string) => new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(status)?.[1]?.split('\t')
    expect(field('Uid')).toEqual(['65532', '65532', '65532', '65532'])
    expect(field('Gid')).toEqual(['65532', '65532', '65532', '65532'])
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) {
      expect(field(set), set).toEqual(['0000000000000000'])
    }
    expect(field('NoNewPrivs')).toEqual(['1'])
    // Nothing lies between: the member itself is the first process, and gets the signals.
    expect(field('NSpid')?.at(-1)).toBe('1')
    const command = readFileSync(`/proc/${member.pid}/cmdline`, 'utf8').split('\0')
    expect(command.slice(0, 3)).toEqual(['node', '/usr/local/bin/ringman', 'serve'])
    for (const path of ['/x', '/tmp/x', '/opt/ringman/x']) {
      const { code, err } = await member.exec(['touch', path])
      expect([code, err], path).toEqual([1, expect.stringContaining('Read-only file system')])
    }
    expect(await member.ask('/v1/owner?key=k')).toMatchObject({ owner: { name: 'confined' } })
    const style = await fetch(`${member.url}/assets/page/page.css`)
    expect(style.headers.get('content-type')).toContain('text/css')
    await member.remove()
  })

  test('as any other user too', async () => {
    const member = await lab.start({ name: 'somebody', podmanArgs: ['--user', '1000730000:0'] })
    await member.untilReady()
    expect(readFileSync(`/proc/${member.pid}/status`, 'utf8')).toMatch(/^Uid:\t1000730000\t/m)
    await member.remove()
  })

  test.each([
    ['static', { RINGMAN_STATIC_MEMBERS: '10.0.0.1:8000' }, '10.0.0.1:8000'],
    ['swim', { RINGMAN_SERVICE_PORT: '9000' }, ':9000'],
  ])('with the source %s', async (source, env, owner) => {
    const member = await lab.start({ name: source, env: { RINGMAN_SOURCE: source, ...env } })
    await member.untilReady()
    const { nodes } = await member.ring()
    expect(nodes.map(({ ringKey }) => ringKey)).toEqual([expect.stringContaining(owner)])
    await member.remove()
  })

  test.each([
    [{ RINGMAN_HTTP_PORT: 'x', RINGMAN_GOSIP_PORT: '1' }, [], ['RINGMAN_HTTP_PORT', 'RINGMAN_GOSIP_PORT']],
    [{}, ['serve', '--keyring-file', '/no/such/keyring'], ['/no/such/keyring']],
    [{}, ['serve', '--config', '/no/such/file.yaml'], ['/no/such/file.yaml']],
    [{}, ['srve'], ['serve']],
  ])('a bad configuration, %j %j, ends it with 2 and one message', async (env, args, named) => {
    const member = await lab.start({ name: 'wrong', env, args })
    expect(await member.ended()).toBe(2)
    const log = await member.log()
    await member.remove()
    for (const name of named) expect(log).toContain(name)
    expect(log.match(/^ringman: |"level":"fatal"/gm)).toHaveLength(1)
    expect(log).not.toMatch(/^\s+at /m)
    expect(log).not.toContain('"ready"')
  })

  test('its other commands work too, from within and from beside', async () => {
    const member = await lab.start({ name: 'asked' })
    await member.untilReady()
    expect(await member.exec(['ringman', 'get', 'k', '--json'])).toMatchObject({
      code: 0,
      err: '',
      out: expect.stringContaining('"asked"'),
    })
    expect(await lab.command(['nodes', '--url', 'http://asked:8080'])).toMatchObject({
      code: 0,
      err: '',
      out: expect.stringContaining('asked'),
    })
    await member.remove()
  })
})

describe('signals to the first process', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)('%s: it leaves, answers on, and ends with 0', async (signal) => {
    const seeds = { RINGMAN_SEEDS: 'stays', RINGMAN_RING_KEY: 'name', RINGMAN_DRAIN: '20s' }
    const stays = await lab.start({ name: 'stays', env: { ...seeds, RINGMAN_SEEDS: '' } })
    const goes = await lab.start({ name: 'goes', env: seeds })
    await untilAgreed([stays, goes])
    await goes.signal(signal)
    // By its farewell: until it ends there is nothing for a failure detector to notice.
    const { tookMs } = await untilAgreed([stays], 15_000)
    expect(await goes.isReady()).toBe(false)
    expect(await goes.ask('/v1/owner?key=k')).toMatchObject({ owner: { name: 'stays' } })
    expect(await goes.ended()).toBe(0)
    const events = (await goes.events()).map(({ event }) => event)
    expect(events.slice(events.indexOf('shutdown.started'))).toEqual(
      expect.arrayContaining(['ring.left', 'shutdown.finished']),
    )
    expect(events).not.toContain('process.lingered')
    console.log(`${signal}: gone from the other's ring ${tookMs.toFixed(0)} ms after podman kill returned`)
    await goes.remove()
    await stays.remove()
  })

  test('a second signal ends it at once', async () => {
    const member = await lab.start({ name: 'hasty', env: { RINGMAN_DRAIN: '1h' } })
    await member.untilReady()
    await member.signal('SIGTERM')
    await member.until('leaving', async () => (await member.log()).includes('"ring.left"'))
    await member.signal('SIGINT')
    expect(await member.ended()).toBe(130)
    await member.remove()
  })
})

describe('the health check', () => {
  test('becomes healthy, unhealthy when the member hangs, and healthy again', async () => {
    const member = await lab.start({ name: 'patient', env: { RINGMAN_ADMIN_PORT: '9081' } })
    await member.until('healthy', async () => (await member.checkHealth()).code === 0)
    expect(await member.checkHealth()).toEqual({ code: 0, status: 'healthy' })
    await member.signal('SIGSTOP')
    // Failures count once the start period of ten seconds is over.
    await member.until('unhealthy', async () => (await member.checkHealth()).status === 'unhealthy')
    await member.signal('SIGCONT')
    await member.until('healthy again', async () => (await member.checkHealth()).status === 'healthy')
    await member.remove()
  })
})

describe('how fast, and how much memory', () => {
  test('it is ready within 1.5 s of its start, and small at rest', async () => {
    const starts: { wallMs: number; ranMs: number; ownMs: number; residentMb: number }[] = []
    for (let at = 0; at < STARTS; at++) {
      const member = await lab.start({ name: `start-${at}` })
      await member.untilReady()
      const { ranMs, waitedMs } = processorTimes(member.pid)
      const ready = (await member.events()).find(({ event }) => event === 'ready')
      const wallMs = Date.parse(String(ready?.['time'])) - member.startedAtMs
      const ownMs = wallMs - waitedMs
      for (let key = 0; key < 100; key++) await member.ask(`/v1/owner?key=${key}`)
      const status = readFileSync(`/proc/${member.pid}/status`, 'utf8')
      const residentMb = (Number(/^VmRSS:\s*(\d+)/m.exec(status)?.[1]) * 1024) / MB
      starts.push({ wallMs, ranMs, ownMs, residentMb })
      await member.remove()
    }
    const median = (of: keyof (typeof starts)[number]) =>
      starts.map((start) => start[of]).sort((a, b) => a - b)[STARTS >> 1] ?? Number.NaN
    console.log(
      `From start to ready, median of ${STARTS}: ${seconds(median('wallMs'))}, without waiting for a processor ` +
        `${seconds(median('ownMs'))}, of which its main thread ran ${seconds(median('ranMs'))}; ` +
        `${median('residentMb').toFixed(0)} MB resident after 100 look-ups`,
    )
    // What else the machine does is not the image's time.
    expect(median('ownMs')).toBeLessThan(1500)
    expect(median('ranMs')).toBeGreaterThan(0)
    expect(median('residentMb')).toBeLessThan(128)
  })
})
