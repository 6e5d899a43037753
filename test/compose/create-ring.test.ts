import { createServer } from 'node:http'
import Koa from 'koa'
import { describe, expect, expectTypeOf, onTestFinished, test } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { createRing } from '../../src/compose/create-ring.ts'
import type { MEMBER_SETTINGS, MemberConfig } from '../../src/config/member-settings.ts'
import { isRingmanError } from '../../src/errors.ts'
import * as ringman from '../../src/index.ts'
import type {
  CreateRingOptions,
  KubernetesRingOptions,
  MemberlistRingOptions,
  Ring,
  SidecarRingOptions,
  StaticRingOptions,
  SwimRingOptions,
} from '../../src/compose/ring.ts'
import { sliceOf } from '../membership/kubernetes/slice-fixtures.ts'
import { COLLECTIONS, FakeKubernetesApi } from '../support/fake-kubernetes-api.ts'
import { FakeKubernetesServer } from '../support/fake-kubernetes-server.ts'
import { TestProcess } from '../support/child-process.ts'
import { codeOf } from '../support/error-code.ts'
import { listening } from '../support/listening.ts'

const STATIC: StaticRingOptions = { source: 'static', staticMembers: ['10.0.0.1:8000', '[::1]:8000=3'] }

function swim(name: string, servicePort: number, seeds: readonly string[] = []): Promise<Ring> {
  return createRing({
    source: 'swim',
    name,
    bind: '127.0.0.1',
    gossipPort: 0,
    servicePort,
    preset: 'local',
    seeds,
  })
}

async function untilSize(ring: Ring, size: number): Promise<void> {
  if (ring.manager.snapshot.ring.size === size) return
  await new Promise<void>((resolve) => {
    const stop = ring.manager.subscribe(({ current }) => {
      if (current.ring.size !== size) return
      stop()
      resolve()
    })
  })
}

describe('createRing', () => {
  test('runs when it resolves, and stays stopped after shutdown', async () => {
    const ring = await createRing(STATIC)
    expect(ring.manager.snapshot.ring.nodes.map(({ ringKey, weight }) => [ringKey, weight])).toEqual([
      ['10.0.0.1:8000', 1],
      ['::1:8000', 3],
    ])
    expect(await ring.manager.ping(1000)).toBe(true)
    expect(ring.owns('k')).toBe(false)
    expect(ring.gossipAddress).toBeUndefined()
    await Promise.all([ring.shutdown(), ring.shutdown()])
    await ring.done
    expect(() => ring.manager.getNode('k')).toThrow(expect.objectContaining({ code: 'MANAGER_NOT_RUNNING' }))
  })

  test('several in one process find each other; one that shuts down is gone from the others', async () => {
    await using first = await swim('first', 8001)
    const second = await swim('second', 8002, [`127.0.0.1:${first.gossipAddress?.port ?? 0}`])
    await Promise.all([untilSize(first, 2), untilSize(second, 2)])
    expect(second.manager.snapshot.ring.digest).toBe(first.manager.snapshot.ring.digest)
    for (let key = 0; key < 100; key++) expect(first.owns(`${key}`)).not.toBe(second.owns(`${key}`))
    await second.shutdown()
    await untilSize(first, 1)
    expect(first.owns('anything')).toBe(true)
  })

  test('its look-ups are mounted in any Koa program', async () => {
    await using ring = await createRing(STATIC)
    const app = new Koa().use(ring.routes({ limits: { maxKeyBytes: 4 } })).use((context) => {
      context.body = 'the program itself'
    })
    const handle = app.callback()
    const { url } = await listening(createServer((request, response) => void handle(request, response)))
    const answer = (await (await fetch(`${url}/v1/owner?key=k`)).json()) as { owner: { ringKey: string } }
    expect(answer.owner.ringKey).toBe(ring.manager.getNode('k').ringKey)
    expect((await fetch(`${url}/v1/owner?key=12345`)).status).toBe(400)
    expect(await (await fetch(`${url}/elsewhere`)).text()).toBe('the program itself')
  })

  test.each([-1, 1e21, 3_600_001, Number.NaN])('shows the time %s as it was given', async (drainMs) => {
    await expect(createRing({ ...STATIC, drainMs })).rejects.toThrow(
      `bad configuration: option drainMs ${drainMs}: allowed: a duration from 0s to 1h`,
    )
  })

  test.each<[string, unknown, readonly string[]]>([
    ['an unknown option', { ...STATIC, sevicePort: 1 }, ['sevicePort']],
    ['an option of the command', { ...STATIC, httpPort: 1 }, ['httpPort']],
    [
      'bad values, all of them',
      { source: 'swim', servicePort: 0, foldWindowMs: -1 },
      ['servicePort', 'foldWindow'],
    ],
    ['a time that is no number', { ...STATIC, foldWindowMs: Number.NaN }, ['foldWindow']],
    ['a time as a large number', { ...STATIC, foldWindowMs: 5n }, ['foldWindow']],
    ['a bad seed', { source: 'swim', seeds: ['a:b:c'] }, ['seeds']],
    ['no members', { source: 'static' }, ['staticMembers']],
    ['what has no effect', { requireEncryption: false }, ['requireEncryption']],
    ['what belongs to another source', { ...STATIC, seeds: ['a'] }, ['seeds']],
    ['a source that there is not', { source: 'gossip' }, ['source']],
  ])('refuses %s', async (_, options, keys) => {
    const error = await createRing(options as CreateRingOptions).then(
      () => undefined,
      (reason: unknown) => reason,
    )
    if (!isRingmanError(error)) throw new Error('not refused as expected', { cause: error })
    expect(error.code).toBe('CONFIG_INVALID')
    expect([...(error.detail['keys'] as string[])].sort()).toEqual([...keys].sort())
  })

  test.each<[string, object, string]>([
    [
      'without its unit',
      { ...STATIC, drain: 1 },
      'option drain: there is no such option; did you mean drainMs?',
    ],
    ['that is not in the table', { ...STATIC, loger: 1 }, 'did you mean logger?'],
    ['of the hand-over', { handover: { warm: () => {}, timeout: 1 } }, 'did you mean timeoutMs?'],
    ['of the hand-over that is needed', { handover: {} }, 'handover needs warm'],
    ['a hand-over that is none', { handover: false }, 'handover needs warm'],
  ])('says which option was meant by one %s', async (_, options, message) => {
    await expect(createRing(options as CreateRingOptions)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining(message) as unknown,
    })
  })

  test('without any options a ring is not what somebody meant', async () => {
    for (const options of [undefined, null, 'static']) {
      await expect(createRing(options as unknown as CreateRingOptions)).rejects.toMatchObject({
        code: 'CONFIG_INVALID',
      })
    }
  })

  test('a Node.js that is too old is told which is needed', async () => {
    const { versions } = process
    onTestFinished(() => void Object.defineProperty(process, 'versions', { value: versions }))
    for (const node of ['20.20.2', '22.18.0']) {
      Object.defineProperty(process, 'versions', { value: { ...versions, node } })
      await expect(createRing(STATIC)).rejects.toMatchObject({
        code: 'CONFIG_INVALID',
        message: `Node.js 22.19 or newer is needed, this is ${node}`,
      })
    }
  })

  test('a limit that there is not is refused', async () => {
    await using ring = await createRing(STATIC)
    expect(() => ring.routes({ limits: { maxKeyByte: 4 } as object })).toThrow(
      'limit maxKeyByte: there is no such limit; did you mean maxKeyBytes?',
    )
  })

  test('a port in use is a failure of the source', async () => {
    await using first = await swim('first', 8001)
    const second = createRing({
      source: 'swim',
      name: 'second',
      bind: '127.0.0.1',
      gossipPort: first.gossipAddress?.port ?? 0,
    })
    await expect(second).rejects.toMatchObject({ code: 'SOURCE_FAILED' })
  })

  test('a program that does nothing else sees its promises settle, and ends after shutdown', async () => {
    const url = new URL('../../src/index.ts', import.meta.url).href
    const script = `
      import { createRing } from ${JSON.stringify(url)}
      const ring = await createRing({ source: 'static', staticMembers: ['a:1'], foldWindowMs: 50 })
      await ring.manager.addNode({ ringKey: 'b:2', weight: 1 })
      console.log(ring.manager.snapshot.ring.size)
      await ring.shutdown()`
    await using program = new TestProcess(['--input-type=module-typescript', '--eval', script])
    expect(await program.ended).toEqual({ code: 0, signal: null })
    expect(program.out).toBe('2\n')
  })

  test('follows a Service of Kubernetes, and owns what its own pod owns', async () => {
    const api = new FakeKubernetesApi(systemClock)
    await using server = await FakeKubernetesServer.open(api, { scheme: 'http' })
    const pods = ['ring-0', 'ring-1'].map((name, n) => ({ name, address: `10.0.0.${n}` }))
    api.put(COLLECTIONS.slices, sliceOf('cache-a', pods))
    await using ring = await createRing({
      source: 'kubernetes',
      name: 'ring-1',
      kubernetesService: 'cache',
      kubernetesPort: 8000,
      kubernetesKubeconfig: server.kubeconfig({}),
      ringKey: 'name',
    })
    expect(ring.manager.snapshot.ring.nodes.map(({ ringKey, port }) => [ringKey, port])).toEqual([
      ['ring-0', 8000],
      ['ring-1', 8000],
    ])
    for (const key of ['a', 'b', 'c', 'd']) {
      expect(ring.owns(key)).toBe(ring.manager.getNode(key).name === 'ring-1')
    }
    api.put(COLLECTIONS.slices, sliceOf('cache-a', pods.slice(1)))
    await untilSize(ring, 1)
    expect(ring.owns('a')).toBe(true)
  })

  test('members of either gossip find each other through pods', async () => {
    for (const source of ['memberlist', 'swim'] as const) {
      const api = new FakeKubernetesApi(systemClock)
      await using server = await FakeKubernetesServer.open(api, { scheme: 'http' })
      const options = {
        source,
        bind: '127.0.0.1',
        gossipPort: 0,
        preset: 'local',
        kubernetesPodSelector: 'app=ring',
        kubernetesKubeconfig: server.kubeconfig({}),
      } as const
      await using first = await createRing({ ...options, name: 'a', seeds: [] })
      api.put(COLLECTIONS.pods, {
        metadata: { name: 'a', labels: { app: 'ring' } },
        status: { phase: 'Running', podIP: '127.0.0.1' },
      })
      const seeds = [`pods:${first.gossipAddress?.port}`]
      await using second = await createRing({ ...options, name: 'b', servicePort: 8001, seeds })
      await Promise.all([untilSize(first, 2), untilSize(second, 2)])
      expect(second.source.health().detail).toMatchObject({ pods: 1, podFailuresInARow: 0 })
    }
  })

  test('takes the settings of its source, under the same names and with the same values', () => {
    expectTypeOf<Taken<MemberlistRingOptions>>().toEqualTypeOf<Settable<'memberlist'>>()
    expectTypeOf<Taken<SwimRingOptions>>().toEqualTypeOf<Settable<'swim'>>()
    expectTypeOf<Taken<SidecarRingOptions>>().toEqualTypeOf<Settable<'sidecar'>>()
    expectTypeOf<Taken<KubernetesRingOptions>>().toEqualTypeOf<Settable<'kubernetes'>>()
    expectTypeOf<Taken<StaticRingOptions>>().toEqualTypeOf<Settable<'static'>>()
  })
})

/** What a program writes as text, as a file does. */
type AsText = 'seeds' | 'staticMembers' | 'delegateVersions'

/** The options of a source that are settings, without their docs. */
type Taken<Options> = {
  [Name in Exclude<keyof Options, 'logger' | 'tracing' | 'source' | 'handover'>]-?: Name extends AsText
    ? 'text'
    : NonNullable<Options[Name]>
}

/** The settings that the table has for a source. */
type Settable<Source> = {
  -readonly [
    Name in keyof MemberConfig as Name extends 'source'
      ? never
      : (typeof MEMBER_SETTINGS)[Name] extends { readonly sources: readonly (infer For)[] }
        ? Source extends For
          ? Name
          : never
        : Name
  ]: Name extends AsText ? 'text' : NonNullable<MemberConfig[Name]>
}

describe('ring.forward', () => {
  const BASE = { bind: '127.0.0.1', gossipPort: 0, preset: 'local', name: 'a' } as const

  test('needs networks where whoever gossips without a key could name any address', async () => {
    await using open = await createRing(BASE)
    expect(codeOf(() => open.forward())).toBe('CONFIG_INVALID')
    expect(codeOf(() => open.forward({ networks: ['10.0.0.0/33'] }))).toBe('CONFIG_INVALID')
    expect(codeOf(() => open.forward({ networks: ['10.0.0.0/8', 'fd00::/8'] }))).toBe('none')
    expect(codeOf(() => open.forward({ networks: [], key: ['body:x'] }))).toBe('CONFIG_INVALID')
    expect(codeOf(() => open.forward({ networks: [], key: () => 'key', waitMs: -1 }))).toBe('CONFIG_INVALID')
    await using listed = await createRing({ source: 'static', staticMembers: ['10.0.0.1:80'] })
    expect(codeOf(() => listed.forward({ key: ['path:/rooms/{key}'] }))).toBe('none')
  })

  test('and claims, checks and moves are those of the ring', async () => {
    await using ring = await createRing(BASE)
    expect(ring.owned().share).toBe(1)
    using claim = ring.claim('key')
    const { verdict, mine } = ring.check('key', ring.manager.digests)
    expect([claim.held, verdict, mine]).toEqual([true, 'mine', true])
    const causes: string[] = []
    ring.onMoved(({ cause, lost }) => causes.push(`${cause} ${lost.share}`))
    await ring.shutdown()
    expect(causes).toEqual(['left 1'])
    expect(claim.held).toBe(false)
  })
})

test('the public face is what it is meant to be', () => {
  expect(Object.keys(ringman).sort()).toEqual([
    'COMMAND_CHANNEL_LENGTH',
    'DEFAULT_FOLD_WINDOW_MS',
    'ERROR_CODES',
    'HashRing',
    'HashRingManager',
    'MemberlistNode',
    'MovedStretches',
    'PING_TIMEOUT_MS',
    'RingClient',
    'RingmanClient',
    'RingmanError',
    'createRing',
    'generateKey',
    'holdingClock',
    'isRingmanError',
    'orderRings',
    'parseKeyring',
    'plan',
    'silentLogger',
    'systemClock',
    'systemRandom',
  ])
})

describe('handover', () => {
  const base = { bind: '127.0.0.1', gossipPort: 0, preset: 'local', ringKey: 'name', drainMs: 0 } as const

  test('of real members: the one that joins and those that stay are warm before they own', async () => {
    const fetched: string[] = []
    const member = async (name: string, seeds: readonly string[]) => {
      const ring = await createRing({
        ...base,
        name,
        seeds,
        handover: {
          warm: (ranges, from) => {
            fetched.push(`${name} from ${from.ringKey}: ${ranges.contains('key') ? 'key' : 'others'}`)
          },
        },
      })
      await ring.settled()
      return ring
    }
    await using first = await member('a', [])
    const second = await member('b', [`127.0.0.1:${first.gossipAddress?.port}`])
    await untilSize(first, 2)
    expect(fetched).toHaveLength(1)
    const isSeconds = second.owns('key')
    expect(first.owns('key')).toBe(!isSeconds)
    await second.shutdown()
    expect(fetched).toEqual([
      `b from a: ${isSeconds ? 'key' : 'others'}`,
      `a from b: ${isSeconds ? 'key' : 'others'}`,
    ])
    await untilSize(first, 1)
    expect(first.moving().count).toBe(0)
    expect((await first.metrics()).body).toContain('ringman_handover_warm_ups_total{outcome="done"} 1')
  })

  test('waits for nobody in a ring with members that do not hand over', async () => {
    await using old = await createRing({ ...base, name: 'old' })
    const seeds = [`127.0.0.1:${old.gossipAddress?.port}`]
    const never = () => new Promise<void>(() => {})
    await using young = await createRing({ ...base, name: 'young', seeds, handover: { warm: never } })
    expect(await young.settled()).toBe(true)
    await untilSize(old, 2)
    await untilSize(young, 2)
    expect(old.manager.snapshot.ring.digest).toBe(young.manager.snapshot.ring.digest)
    await old.leave()
    await untilSize(young, 1)
  })

  test('is for members by memberlist alone, and its time limit is checked', async () => {
    const handover = { warm: () => {} }
    const other = createRing({ ...base, source: 'swim', handover } as CreateRingOptions)
    await expect(other).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
    const endless = createRing({ ...base, handover: { ...handover, timeoutMs: 3_600_001 } })
    await expect(endless).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
  })
})
