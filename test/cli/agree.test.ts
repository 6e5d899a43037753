import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { runAgree } from '../../src/cli/agree.ts'
import type { DnsResolver } from '../../src/seeds/dns-resolver.ts'
import { serveRing, THREE_MEMBERS, type ServedRing } from '../http/running-ring.ts'
import { fakeMember } from '../support/fake-source.ts'
import { HastyClock } from '../support/hasty-clock.ts'
import { LiveCluster } from '../support/live-cluster.ts'
import { RecordingTerminal, runMain } from '../support/recording-terminal.ts'

let members: ServedRing[]
let one: string
let two: string
/** Does not know the third member. */
let other: string

beforeAll(async () => {
  members = [await serveRing(), await serveRing(), await serveRing({ members: THREE_MEMBERS.slice(0, 2) })]
  ;[one = '', two = '', other = ''] = members.map(({ server }) => `127.0.0.1:${server.port}`)
})
afterAll(async () => {
  await Promise.all(members.map((member) => member[Symbol.asyncDispose]()))
})

describe('ringman agree', () => {
  test('is content with members that hold the same ring', async () => {
    const { code, out, err } = await runMain(['agree', one, two, '--expect', '2'])
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toMatch(/^2 members agree: digest [0-9a-f]{16}, the same owner of each of 1000 keys\n$/)
    const json = JSON.parse(
      (await runMain(['agree', `${one},${two}`, '--json', '--keys', '10'])).out,
    ) as unknown
    expect(json).toMatchObject({ agreed: true, differingKeys: [], members: [{ url: `http://${one}` }, {}] })
  })

  test('finds members with different rings, and shows the digests', async () => {
    const { code, out, err } = await runMain(['agree', one, other])
    expect(code).toBe(5)
    expect(out).toContain(`http://${other}`)
    const digests = [...out.matchAll(/digest ([0-9a-f]{16})/g)].map(([, digest]) => digest)
    expect(new Set(digests).size).toBe(2)
    expect(err).toMatch(/^ringman: \d+ of 1000 keys have different owners, such as ringman-agree-\d+/)
    expect(err).toContain('; after a change try --wait 30s')
    const { agreed, differingKeys } = JSON.parse((await runMain(['agree', one, other, '--json'])).out) as {
      agreed: boolean
      differingKeys: string[]
    }
    expect(agreed).toBe(false)
    expect(differingKeys.length).toBeGreaterThan(10)
  })

  test('finds two processes of one name, whose rings are equal by their digests', async () => {
    const twoWith = (last: string) => [fakeMember('n1', '10.0.0.1'), fakeMember('n2', last)]
    await using here = await serveRing({ members: twoWith('10.0.0.2'), ringKeyMode: 'name' })
    await using there = await serveRing({ members: twoWith('10.0.0.9'), ringKeyMode: 'name' })
    const places = [here, there].map(({ server }) => `127.0.0.1:${server.port}`)
    await vi.waitFor(() => {
      for (const { ring } of [here, there]) expect(ring.manager.snapshot.ring.nodes).toHaveLength(2)
    }, 60_000)
    const { code, out, err } = await runMain(['agree', ...places])
    expect(code).toBe(5)
    const digests = [...out.matchAll(/digest ([0-9a-f]{16})/g)].map(([, digest]) => digest)
    expect([digests.length, new Set(digests).size]).toEqual([2, 1])
    expect(err).toContain('n2 is at 10.0.0.2:8000 for some and at 10.0.0.9:8000 for others')
    const json = JSON.parse((await runMain(['agree', ...places, '--json'])).out) as unknown
    expect(json).toMatchObject({
      agreed: false,
      contested: [{ ringKey: 'n2', places: ['10.0.0.2:8000', '10.0.0.9:8000'] }],
    })
  })

  test('counts a member once whose look-up port and admin port are both asked', async () => {
    await using cluster = new LiveCluster()
    const [a, b] = await cluster.addAll('a', 'b')
    const [http, admin] = [a.addresses.http.url, a.addresses.admin.url]
    const lone = await runMain(['agree', http, admin, '--expect', '2'])
    expect(lone).toMatchObject({
      code: 5,
      err: expect.stringContaining(
        `ringman: ${admin} is the same member as ${http}, and counts once\nringman: 1 member was found, and 2 are expected`,
      ) as string,
    })
    const both = await runMain(['agree', http, admin, b.addresses.http.url, '--json'])
    expect(both.code).toBe(0)
    expect(JSON.parse(both.out)).toMatchObject({ members: [{ url: http }, { url: b.addresses.http.url }] })
  })

  test('takes URLs too, and refuses what is none', async () => {
    expect(await runMain(['agree', `http://${one}/`, two])).toMatchObject({ code: 0 })
    const { code, err } = await runMain(['agree', 'http://'])
    expect([code, err]).toEqual([2, expect.stringContaining('HOST[:PORT] or an http:// or https:// URL')])
  })

  test('does not take silence, or too few members, for agreement', async () => {
    const silent = await runMain(['agree', one, '127.0.0.1:1'])
    expect(silent.code).toBe(5)
    expect(silent.out).toContain('UNREACHABLE')
    expect(silent.err).toBe('ringman: 1 of 2 members gave no answer\n')
    const few = await runMain(['agree', one, two, '--expect', '3'])
    expect(few).toMatchObject({ code: 5 })
    expect(few.err).toContain('2 members were found, and 3 are expected')
    for (const nobody of ['dns:nobody.invalid', 'nobody.invalid', '127.0.0.1:1']) {
      expect(await runMain(['agree', nobody])).toMatchObject({ code: 3 })
    }
    expect(await runMain(['agree'])).toMatchObject({ code: 2 })
    expect(await runMain(['agree', 'a:b'])).toMatchObject({ code: 2 })
    expect(await runMain(['agree', 'pods:'])).toMatchObject({ code: 2 })
  })

  test('says of a name that DNS does not have that the hosts file was not asked', async () => {
    const fail = () => Promise.reject(Object.assign(new Error('none'), { code: 'ENOTFOUND' }))
    const dns: DnsResolver = { addressesOf: fail, lookUp: fail, servicesOf: fail }
    const asked = (name: string) => {
      const terminal = new RecordingTerminal()
      const config = { expect: 1, keys: 10, waitMs: 0, ring: undefined, timeoutMs: 1000 }
      return runAgree({ members: name, config, terminal, json: false, dns })
    }
    await expect(asked('dns:localhost:8080')).rejects.toMatchObject({
      code: 'UNREACHABLE',
      message:
        'dns:localhost:8080 does not resolve (ENOTFOUND): dns: asks DNS alone, not the hosts file; localhost:8080 asks both',
    })
    await expect(asked('somewhere')).rejects.toMatchObject({
      message: 'somewhere does not resolve (ENOTFOUND)',
    })
  })

  test('asks every address of a name, and tries again until all agree', async () => {
    const asked: string[] = []
    const port = Number(one.split(':')[1])
    // The name leads to nobody at first, and then to a member.
    const dns: DnsResolver = {
      addressesOf: (name) => {
        asked.push(name)
        return asked.length === 1
          ? Promise.reject(Object.assign(new Error('not yet'), { code: 'ENOTFOUND' }))
          : Promise.resolve(['127.0.0.1'])
      },
      lookUp: () => Promise.resolve(['127.0.0.1']),
      servicesOf: () => Promise.resolve([{ name: 'pod.example', port }]),
    }
    const terminal = new RecordingTerminal()
    const clock = new HastyClock()
    const config = { expect: 1, keys: 5, waitMs: 5000, ring: undefined, timeoutMs: 5000 }
    await runAgree({
      members: `dns:pods.example:${port}, srv:pods.example,localhost:${port}`,
      config,
      terminal,
      json: false,
      dns,
      clock,
    })
    expect(terminal.printed).toMatch(/^Only one member was asked, .*: digest [0-9a-f]{16}\n$/)
    expect(asked).toEqual(['pods.example', 'pod.example.', 'pods.example', 'pod.example.'])
    expect(clock.now()).toBe(1000)
  })
})
