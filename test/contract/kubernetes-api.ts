import { describe, expect, test } from 'vitest'
import type { ApiClient } from '../../src/kubernetes/api-client.ts'
import { apiErrorKindOf } from '../../src/kubernetes/api-error.ts'
import { ENDPOINT_SLICES, type ApiSelection } from '../../src/kubernetes/api-resource.ts'
import { sliceOf } from '../membership/kubernetes/slice-fixtures.ts'

/** An API server that is held to the contract. */
export interface ApiUnderTest {
  readonly client: ApiClient
  /** A namespace that nothing else is in. */
  readonly namespace: string
  /** Makes a slice, or one of its name another. Rejects for what the server does not take. */
  readonly put: (slice: object & { readonly metadata: { readonly name: string } }) => Promise<void>
  readonly remove: (name: string) => Promise<void>
  /** Forgets the history. */
  readonly compact: () => Promise<void>
}

interface Listed {
  readonly metadata: { readonly name: string; readonly resourceVersion: string }
}

const CONFIG_MAPS = { group: '', version: 'v1', plural: 'configmaps' }
const DEADLINE_MS = 20_000

/**
 * What ringman counts on in an API server, for the real one and for the one of the tests alike: who differs from it makes
 * tests that prove nothing.
 */
export function describeKubernetesApi(whose: string, open: () => Promise<ApiUnderTest>): void {
  describe(`the Kubernetes API of ${whose}`, () => {
    const never = new AbortController().signal

    const slice = (slicename: string, labels: Readonly<Record<string, string>> = {}, more: object = {}) => ({
      ...sliceOf(slicename, [{ name: 'a', address: '10.0.0.1', ready: true }]),
      metadata: { name: slicename, labels },
      ...more,
    })

    async function list(api: ApiUnderTest, selection: Partial<ApiSelection> = {}, limit = 0) {
      const wanted = { kind: ENDPOINT_SLICES, namespace: api.namespace, ...selection }
      const page = await api.client.list(wanted, { limit }, never)
      const items = page.items as readonly Listed[]
      return { ...page, items, names: items.map(({ metadata }) => metadata.name) }
    }

    async function kindOf(promise: Promise<unknown>): Promise<string> {
      try {
        await promise
        return 'taken'
      } catch (error) {
        return apiErrorKindOf(error) ?? String(error)
      }
    }

    /** Statuses are told apart by what they are to ringman; a bad request has no kind of its own. */
    async function statusOf(promise: Promise<unknown>): Promise<number | undefined> {
      try {
        await promise
        return 200
      } catch (error) {
        return (error as { detail?: { status?: number } }).detail?.status
      }
    }

    test('lists in the order of names', async () => {
      const api = await open()
      for (const each of ['c', 'a', 'b-2', 'b', 'b-10']) await api.put(slice(each))
      expect((await list(api)).names).toEqual(['a', 'b', 'b-10', 'b-2', 'c'])
    })

    test('selects by labels, and refuses what is no selector', async () => {
      const api = await open()
      await api.put(slice('web', { app: 'web', tier: 'front' }))
      await api.put(slice('db', { app: 'db' }))
      await api.put(slice('none'))
      const found = async (labelSelector: string) => (await list(api, { labelSelector })).names
      expect(await found('app=web')).toEqual(['web'])
      expect(await found('app==web')).toEqual(['web'])
      expect(await found('app!=web')).toEqual(['db', 'none'])
      expect(await found('app in (web, db)')).toEqual(['db', 'web'])
      expect(await found('app notin (web,x)')).toEqual(['db', 'none'])
      expect(await found('tier')).toEqual(['web'])
      expect(await found('!tier')).toEqual(['db', 'none'])
      expect(await found('app,!tier')).toEqual(['db'])
      expect(await found('app in (web,db),tier notin (back)')).toEqual(['db', 'web'])
      expect(await found('')).toEqual(['db', 'none', 'web'])
      for (const bad of ['app in web', '=', 'app=(', '!', 'app in ()x', 'a b', '-x']) {
        expect([bad, await statusOf(list(api, { labelSelector: bad }))]).toEqual([bad, 400])
      }
    })

    test('selects by the name, and by no field that it does not know', async () => {
      const api = await open()
      await api.put(slice('a'))
      await api.put(slice('b'))
      expect((await list(api, { fieldSelector: 'metadata.name=b' })).names).toEqual(['b'])
      expect((await list(api, { fieldSelector: 'metadata.name!=b' })).names).toEqual(['a'])
      expect(await statusOf(list(api, { fieldSelector: 'spec.x=1' }))).toBe(400)
    })

    test('gives pages of one moment', async () => {
      const api = await open()
      for (const each of ['a', 'b', 'c', 'd', 'e']) await api.put(slice(each))
      const first = await list(api, {}, 2)
      await api.put(slice('aa'))
      await api.remove('d')
      const wanted = { kind: ENDPOINT_SLICES, namespace: api.namespace }
      const second = await api.client.list(wanted, { limit: 2, next: first.next }, never)
      const third = await api.client.list(wanted, { limit: 2, next: second.next }, never)
      const names = [first, second, third].flatMap(({ items }) =>
        (items as readonly Listed[]).map(({ metadata }) => metadata.name),
      )
      expect(names).toEqual(['a', 'b', 'c', 'd', 'e'])
      expect(third.next).toBeUndefined()
    })

    test('refuses slices that are not right', async () => {
      const api = await open()
      const endpoints = [{ addresses: ['10.0.0.1'] }]
      const wrong: Readonly<Record<string, object>> = {
        'no type of address': { addressType: undefined },
        'an unknown type of address': { addressType: 'IPv5' },
        'an address of another type': { addressType: 'IPv6', endpoints },
        'an address that is none': { endpoints: [{ addresses: ['x'] }] },
        'an endpoint without an address': { endpoints: [{ addresses: [] }] },
        'one port twice': {
          ports: [
            { name: 'a', port: 1 },
            { name: 'a', port: 2 },
          ],
        },
        'a protocol that is none': { ports: [{ name: 'a', port: 1, protocol: 'tcp' }] },
        'too many endpoints': {
          endpoints: Array.from({ length: 1001 }, (_, i) => ({
            addresses: [`10.1.${i >> 8}.${i & 255}`],
          })),
        },
      }
      for (const [what, more] of Object.entries(wrong)) {
        const taken = await api.put(slice('wrong', {}, more)).then(
          () => 'taken',
          () => 'refused',
        )
        expect([what, taken]).toEqual([what, 'refused'])
      }
      // What a program has to look at itself.
      await api.put(slice('odd', {}, { ports: [{ name: 'a', port: 70_000 }] }))
      expect((await list(api)).names).toEqual(['odd'])
    })

    test('tells watchers what enters, changes and leaves what they selected', async () => {
      const api = await open()
      await api.put(slice('a', { app: 'web' }))
      const labelSelector = 'app=web'
      const { version } = await list(api, { labelSelector })
      await api.put(slice('b', { app: 'web' }))
      await api.put(slice('c', { app: 'db' }))
      await api.put(slice('b', { app: 'web', more: 'x' }))
      await api.put(slice('a', { app: 'db' }))
      await api.put(slice('c', { app: 'web' }))
      await api.remove('b')
      const told: string[] = []
      const abort = new AbortController()
      const selection = { kind: ENDPOINT_SLICES, namespace: api.namespace, labelSelector }
      const events = api.client.watch(selection, { version, timeoutMs: DEADLINE_MS }, abort.signal)
      let last = version
      for await (const batch of events) {
        for (const { type, object, version: at } of batch) {
          told.push(`${type} ${(object as unknown as Listed).metadata.name}`)
          expect(BigInt(at)).toBeGreaterThan(BigInt(last))
          last = at
        }
        if (told.length >= 5) break
      }
      abort.abort()
      expect(told).toEqual(['ADDED b', 'MODIFIED b', 'DELETED a', 'ADDED c', 'DELETED b'])
    })

    test('has forgotten what is too old, whichever way it says so', async () => {
      const api = await open()
      await api.put(slice('a'))
      await api.put(slice('b'))
      const { next } = await list(api, {}, 1)
      await api.put(slice('c'))
      await api.compact()
      const wanted = { kind: ENDPOINT_SLICES, namespace: api.namespace }
      // A server may have kept the list that the page is of.
      expect(['expired', 'taken']).toContain(await kindOf(api.client.list(wanted, { limit: 1, next }, never)))
      const watched = async () => {
        for await (const batch of api.client.watch(wanted, { version: '1', timeoutMs: DEADLINE_MS }, never)) {
          if (batch.length > 0) return
        }
      }
      expect(await kindOf(watched())).toBe('expired')
    })

    test('makes, changes and refuses as it is asked to', async () => {
      const { client, namespace } = await open()
      const made = { kind: CONFIG_MAPS, namespace, type: 'application/json' } as const
      const body = {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'map', annotations: { a: '1' } },
        data: { x: '1' },
      }
      const versionOf = ({ metadata }: Readonly<Record<string, unknown>>) =>
        (metadata as { resourceVersion: string }).resourceVersion
      const first = versionOf(await client.write({ ...made, body }, never))
      expect(await kindOf(client.write({ ...made, body }, never))).toBe('conflict')

      const merged = (name: string, patch: object) =>
        client.write(
          { kind: CONFIG_MAPS, namespace, name, type: 'application/merge-patch+json', body: patch },
          never,
        )
      expect(await kindOf(merged('other', { data: {} }))).toBe('not-found')
      const second = versionOf(await merged('map', { data: { x: null, y: '2' } }))
      expect(second).not.toBe(first)
      expect(versionOf(await merged('map', { data: { y: '2' } }))).toBe(second)
      expect(await kindOf(merged('map', { metadata: { resourceVersion: first }, data: { y: '3' } }))).toBe(
        'conflict',
      )

      const operated = (...operations: readonly object[]) =>
        client.write(
          {
            kind: CONFIG_MAPS,
            namespace,
            name: 'map',
            type: 'application/json-patch+json',
            body: operations,
          },
          never,
        )
      const isOurs = { op: 'test', path: '/metadata/annotations/a', value: '1' }
      const looked = await operated(isOurs)
      expect([versionOf(looked), looked['data']]).toEqual([second, { y: '2' }])
      expect(await kindOf(operated({ ...isOurs, value: '2' }))).toBe('invalid')
      expect(await kindOf(operated({ ...isOurs, path: '/metadata/annotations/b~1c' }))).toBe('invalid')
      const setVersion = (value: string) => ({ op: 'replace', path: '/metadata/resourceVersion', value })
      const setData = { op: 'add', path: '/data', value: { z: '3' } }
      expect(await kindOf(operated(isOurs, setVersion(first), setData))).toBe('conflict')
      expect((await operated(isOurs, setVersion(second), setData))['data']).toEqual({ z: '3' })
    })
  })
}
