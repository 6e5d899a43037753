import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { renderConfig } from '../../src/config/describe.ts'
import { loadServeConfig } from '../../src/config/load.ts'
import { SERVE_SETTINGS } from '../../src/config/serve-settings.ts'
import { isRingmanError } from '../../src/errors.ts'

const load = (values: Record<string, string>) => loadServeConfig({ values, unknown: [] }, {})

/** The keys of the settings that are refused, and the message. */
function refused(values: Record<string, string>): { keys: unknown; message: string } {
  try {
    load(values)
  } catch (error) {
    if (isRingmanError(error)) return { keys: error.detail['keys'], message: error.message }
    throw error
  }
  return { keys: [], message: '' }
}

const service = { source: 'kubernetes', kubernetesService: 'cache' }
const pods = { kubernetesPodSelector: 'app=ring' }

describe('the source kubernetes', () => {
  test('takes a Service or labels, and the rest has defaults', () => {
    expect(load(service).values).toMatchObject({
      kubernetesService: 'cache',
      kubernetesIpFamily: 'auto',
      holdRestartingMs: 30_000,
    })
    expect(load({ source: 'kubernetes', kubernetesSelector: 'a in (b,c),!d' }).values).toMatchObject({
      kubernetesSelector: 'a in (b,c),!d',
    })
  })

  test.each([
    ['8080', 8080],
    ['http', 'http'],
    ['http2', 'http2'],
  ])('takes the port %j', (text, port) => {
    const loaded = load({ ...service, kubernetesPort: text })
    expect(loaded.values.kubernetesPort).toBe(port)
    // As a file holds it, it means the same again.
    expect(parse(renderConfig(SERVE_SETTINGS, loaded))).toMatchObject({ kubernetesPort: port })
  })

  test.each(['0', '70000', '-1', 'HTTP', 'a b', '80.5', ''])('refuses the port %j', (kubernetesPort) => {
    expect(refused({ ...service, kubernetesPort }).keys).toEqual(['kubernetesPort'])
  })

  test('refuses neither, both, and names that Kubernetes does not have', () => {
    const neither = refused({ source: 'kubernetes' })
    expect(neither.keys).toEqual(['kubernetesService'])
    expect(neither.message).toContain('--kubernetes-selector')
    expect(refused({ ...service, kubernetesSelector: 'a=b' }).keys).toEqual(['kubernetesSelector'])
    expect(refused({ ...service, kubernetesService: 'a.b' }).keys).toEqual(['kubernetesService'])
    expect(refused({ ...service, kubernetesNamespace: 'A' }).keys).toEqual(['kubernetesNamespace'])
    expect(refused({ source: 'kubernetes', kubernetesSelector: 'a=b=c' }).keys).toEqual([
      'kubernetesSelector',
    ])
  })

  test('refuses what is for gossip, and gossip what is for it', () => {
    expect(refused({ ...service, kubernetesCheck: 'true' }).keys).toEqual(['kubernetesCheck'])
    expect(refused({ ...service, ...pods }).keys).toEqual(['kubernetesPodSelector'])
    expect(refused({ source: 'memberlist', kubernetesService: 'cache' }).keys).toEqual(['kubernetesService'])
  })
})

describe('sources that gossip', () => {
  test('take pods as seeds, with their labels', () => {
    const { values } = load({ seeds: 'pods:,pods:7000', ...pods, kubernetesNamespace: 'ring' })
    expect(values).toMatchObject({ seeds: [{ kind: 'pods' }, { kind: 'pods', port: 7000 }], ...pods })
    expect(load({ source: 'swim', seeds: 'pods:', ...pods }).values).toMatchObject(pods)
  })

  test('refuse such seeds and the check without labels', () => {
    expect(refused({ seeds: 'pods:' })).toMatchObject({
      keys: ['kubernetesPodSelector'],
      message: expect.stringContaining('--kubernetes-pod-selector'),
    })
    expect(refused({ kubernetesCheck: 'true' }).keys).toEqual(['kubernetesPodSelector'])
    expect(load({ kubernetesCheck: 'true', ...pods }).values.kubernetesCheck).toBe(true)
  })

  test('the check is for memberlist', () => {
    expect(refused({ source: 'swim', kubernetesCheck: 'true', ...pods }).keys).toEqual(['kubernetesCheck'])
  })
})
