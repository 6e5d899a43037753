import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { describe, expect, test } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { diagnose } from '../../src/cli/doctor-findings.ts'
import { CONDITION_RUNBOOKS, RUNBOOKS, type Finding } from '../../src/cli/doctor-finding.ts'
import { survey, type MemberReport, type Survey } from '../../src/cli/doctor-survey.ts'
import { generateKey, keyId, parseKeyring } from '../../src/membership/memberlist/keyring.ts'
import { NodeDnsResolver } from '../../src/seeds/dns-resolver.ts'
import { GOSSIP, serve } from '../support/child-process.ts'
import { runCommand } from '../support/command.ts'
import { freePort } from '../support/free-port.ts'
import { LiveCluster, type LiveMember } from '../support/live-cluster.ts'
import { runMain } from '../support/recording-terminal.ts'
import { TcpRelay } from '../support/tcp-relay.ts'
import { a, TinyDnsServer } from '../support/tiny-dns-server.ts'

async function healthyCluster(size = 3): Promise<LiveCluster> {
  const cluster = new LiveCluster()
  await cluster.addAll(...Array.from({ length: size }, (_, n) => `m${n}`))
  return cluster
}

/** Settings of a member that others reach at another port than the one that it sends from. */
function behind(gossipPort: number, port: number) {
  return { gossipPort: String(gossipPort), advertise: '127.0.0.1', advertisePort: String(port) }
}

/** Passes datagrams on to a port of this machine, and back to whoever sent them. */
async function relayDatagrams(target: number) {
  const near = createSocket('udp4')
  const sockets = new Map<string, Socket>()
  near.on('message', (bytes, { address, port }) => {
    const sender = `${address} ${port}`
    let far = sockets.get(sender)
    if (far === undefined) {
      far = createSocket('udp4').on('message', (answer) => near.send(answer, port, address))
      sockets.set(sender, far)
    }
    far.send(bytes, target, '127.0.0.1')
  })
  near.bind(0, '127.0.0.1')
  await once(near, 'listening')
  return {
    port: near.address().port,
    async [Symbol.asyncDispose]() {
      for (const socket of [near, ...sockets.values()]) socket.close()
      await once(near, 'close')
    },
  }
}

async function doctor(members: readonly LiveMember[], timeout = '60s') {
  const urls = members.map(({ addresses }) => addresses.admin.url).join(',')
  const { code, out, err } = await runMain(['doctor', '--json', '--timeout', timeout, '--url', urls])
  const answer = JSON.parse(out) as { findings: Finding[]; members: { name: string }[] }
  return { code, err, ...answer, codes: answer.findings.map((finding) => finding.code) }
}

test('a healthy cluster is silent, and all of it is asked by way of one member', async () => {
  await using cluster = await healthyCluster(5)
  const [first] = cluster.members as [LiveMember]
  const { code, findings, members } = await doctor([first])
  expect(findings).toEqual([])
  expect(code).toBe(0)
  expect(members.map(({ name }) => name).sort()).toEqual(['m0', 'm1', 'm2', 'm3', 'm4'])
  const { out } = await runMain(['doctor', '--url', first.addresses.admin.url])
  expect(out).toBe('5 members answered; nothing is wrong\n')
})

describe('in a cluster with', () => {
  const alone = { seeds: '' }

  test('a member of another label', async () => {
    await using cluster = await healthyCluster()
    const odd = await cluster.add('odd', { label: 'other', ...alone })
    const { code, findings } = await doctor([cluster.members[0]!, odd])
    expect(code).toBe(6)
    expect(findings[0]).toMatchObject({ code: 'LABELS_DIFFER', members: ['odd'] })
    expect(findings[0]?.summary).toBe('"odd" has the label "other", and most others none.')
    expect(findings).toHaveLength(1)
  })

  test('a member of another label that nobody names', async () => {
    await using cluster = await healthyCluster()
    const odd = await cluster.add('odd', { label: 'other' })
    await expect.poll(() => odd.process.service.health().condition).toBe('refused')
    const { findings } = await doctor([cluster.members[0]!])
    expect(findings).toMatchObject([{ code: 'STRANGERS', severity: 'warning', members: ['m0'] }])
    expect(findings[0]?.summary).toMatch(
      /^"m0" was sent gossip with another label or none in the last 30 s, from 127\.0\.0\.1:\d+\.$/,
    )
  })

  test('a member of another key', async () => {
    await using cluster = await healthyCluster()
    const keyringFile = `${cluster.folder}/other`
    writeFileSync(keyringFile, `${generateKey()}\n`)
    const odd = await cluster.add('odd', { keyringFile })
    const { findings } = await doctor([cluster.members[0]!, odd])
    expect(findings[0]).toMatchObject({ code: 'KEYS_DIFFER', severity: 'critical', members: ['odd'] })
    expect(JSON.stringify(findings)).not.toContain(readFileSync(keyringFile, 'utf8').trim())
    expect(findings).toHaveLength(1)
  })

  test('a plain member among keyed ones', async () => {
    await using cluster = await healthyCluster()
    const odd = await cluster.add('odd', { keyringFile: undefined })
    const { findings } = await doctor([cluster.members[0]!, odd])
    expect(findings[0]).toMatchObject({ code: 'PLAIN_AMONG_KEYED', members: ['odd'] })
    expect(findings).toHaveLength(1)
  })

  test('a member that is frozen', async () => {
    await using cluster = await healthyCluster()
    const [first] = cluster.members as [LiveMember]
    await using frozen = serve([
      ...GOSSIP,
      '--name',
      'frozen',
      '--service-port',
      '9000',
      '--keyring-file',
      cluster.keyringFile,
      '--push-pull-interval',
      '1s',
      '--seeds',
      `127.0.0.1:${first.addresses.gossip?.port}`,
    ])
    await frozen.ready()
    await cluster.agreeOn(4)
    frozen.signal('SIGSTOP')
    try {
      const { findings } = await doctor([first], '7s')
      expect(findings[0]).toMatchObject({ code: 'MEMBER_SILENT', severity: 'critical', members: ['frozen'] })
      // The others know who is at the address that is given.
      const { address, metadata } = first.process.service.source.members.find(
        ({ name }) => name === 'frozen',
      )!
      const url = `http://${address}:${metadata?.adminPort}`
      for (const only of [[], ['--only']]) {
        const urls = ['--url', `${first.addresses.admin.url},${url}`, ...only]
        const { out } = await runMain(['doctor', '--json', '--timeout', '7s', ...urls])
        const answer = JSON.parse(out) as { findings: Finding[]; silent: unknown[] }
        expect(answer.silent).toMatchObject([{ name: 'frozen', url }])
        expect(answer.findings[0]).toMatchObject({ code: 'MEMBER_SILENT', members: ['frozen'] })
      }
    } finally {
      frozen.signal('SIGCONT')
    }
  })

  test('two members of one name', async () => {
    await using cluster = await healthyCluster()
    const twin = await cluster.add('m1')
    const { findings } = await doctor([cluster.members[0]!, cluster.members[1]!, twin])
    expect(findings[0]).toMatchObject({ code: 'NAME_TWICE', severity: 'critical', members: ['m1'] })
  })

  test('two members of one name, of which one is a seed and not asked', async () => {
    await using cluster = await healthyCluster()
    // Of the same ring key, so that the rings are equal.
    await cluster.add('m1', { servicePort: '8001' })
    const seeds = cluster.members.map(({ addresses }) => `127.0.0.1:${addresses.gossip?.port}`)
    await cluster.add('m3', { seeds: seeds.join(',') })
    const [first] = cluster.members as [LiveMember]
    await expect.poll(() => first.process.service.control?.report().contested).toMatchObject([{ name: 'm1' }])
    await expect.poll(async () => (await doctor([first])).codes).toEqual(['NAME_TWICE'])
  })

  test('a seed that leads nowhere', async () => {
    await using cluster = await healthyCluster()
    const [first] = cluster.members as [LiveMember]
    await cluster.add('m3', { seeds: `127.0.0.1:${first.addresses.gossip?.port},127.0.0.1:9` })
    await cluster.agreeOn(4)
    const { findings } = await doctor([first])
    expect(findings).toMatchObject([{ code: 'SEEDS_STALE', severity: 'warning', members: ['m3'] }])
    expect(findings[0]?.summary).toContain('127.0.0.1:9,')
  })

  test('a name that DNS still answers with the address of a member that is gone', async () => {
    const server = new TinyDnsServer()
    const dns = new NodeDnsResolver({
      servers: [await server.listen()],
      searchList: { domains: [], ndots: 1 },
    })
    try {
      await using cluster = await healthyCluster()
      const [first] = cluster.members as [LiveMember]
      server.zone.set('ring.example', [a('127.0.0.1'), a('127.0.0.77')])
      const seeds = `dns:ring.example:${first.addresses.gossip?.port}`
      await cluster.add('m3', { seeds }, systemClock, dns)
      await cluster.agreeOn(4)
      const { findings } = await doctor([first])
      expect(findings).toMatchObject([{ code: 'SEEDS_STALE', severity: 'warning', members: ['m3'] }])
      expect(findings[0]?.summary).toContain(`127.0.0.77:${first.addresses.gossip?.port},`)
      expect(server.asked).toContain('ring.example')
    } finally {
      server.close()
    }
  })

  test('a member of another ring-key mode', async () => {
    await using cluster = await healthyCluster()
    await cluster.add('odd', { ringKey: 'name' })
    await expect.poll(async () => (await doctor([cluster.members[0]!])).members.length).toBe(4)
    const { findings } = await doctor([cluster.members[0]!])
    expect(findings).toMatchObject([{ code: 'RING_KEYS_DIFFER', severity: 'critical', members: ['odd'] }])
  })

  test('a member of other settings', async () => {
    await using cluster = await healthyCluster()
    await cluster.add('odd', { probeIntervalMs: '1500ms' })
    await cluster.agreeOn(4)
    const { findings } = await doctor([cluster.members[0]!])
    expect(findings).toMatchObject([{ code: 'SETTINGS_DIFFER', members: ['odd'] }])
    expect(findings[0]?.summary).toContain('probeInterval is "1500ms", and not set there')
  })

  test('a clock that is an hour ahead', async () => {
    await using cluster = await healthyCluster()
    await cluster.add(
      'odd',
      {},
      {
        now: () => systemClock.now(),
        wallNow: () => systemClock.wallNow() + 3_600_000,
        after: (ms, run) => systemClock.after(ms, run),
      },
    )
    await cluster.agreeOn(4)
    const { findings } = await doctor([cluster.members[0]!])
    expect(findings).toMatchObject([{ code: 'CLOCK_OFF', members: ['odd'] }])
    expect(findings[0]?.summary).toBe('The clock of "odd" is 60 minutes ahead.')
  })

  test('an admin port that cannot be reached', async () => {
    await using cluster = await healthyCluster()
    // It listens at another address than the one that it gossips from.
    await cluster.add('odd', { httpHost: '127.0.0.2' })
    await cluster.agreeOn(4)
    const { findings } = await doctor([cluster.members[0]!])
    expect(findings).toMatchObject([{ code: 'ADMIN_UNREACHABLE', severity: 'warning', members: ['odd'] }])
  })

  test('a member at which no UDP arrives', async () => {
    await using cluster = await healthyCluster()
    const gossipPort = await freePort()
    const at = { host: '127.0.0.1', port: gossipPort }
    await using relay = await TcpRelay.start({ ...at, port: 0 }, at)
    await cluster.add('odd', behind(gossipPort, relay.port))
    await cluster.agreeOn(4)
    const { findings } = await doctor([cluster.members[0]!])
    const found = findings.find(({ code }) => code === 'UDP_BLOCKED')
    expect(found?.members).toContain('odd')
    expect(found?.summary).toContain('From "m0" to "odd"')
  })

  test('a member at which no TCP arrives, and from which it does', async () => {
    await using cluster = await healthyCluster()
    const gossipPort = await freePort()
    await using relay = await relayDatagrams(gossipPort)
    await cluster.add('odd', behind(gossipPort, relay.port))
    await cluster.agreeOn(4)
    const { findings } = await doctor([cluster.members[0]!])
    const found = findings.find(({ code }) => code === 'TCP_BLOCKED')
    expect(found?.members).toContain('odd')
    expect(found?.summary).toContain('From "m0" to "odd"')
    expect(found?.summary).toContain('in this direction only')
  })

  test('a drained member there is a note, and nothing wrong', async () => {
    await using cluster = await healthyCluster()
    await cluster.act(cluster.members[1]!, 'drain')
    await cluster.agreeOn(2)
    const { code, findings } = await doctor([cluster.members[0]!])
    expect(findings).toMatchObject([{ code: 'DRAINED', severity: 'note', members: ['m1'] }])
    expect(findings[0]?.meaning).toBe('Somebody took it off the ring by hand; the others have its keys.')
    expect(code).toBe(0)
  })
})

test('a ring that was drained to the last member is critical, and everything else says so, too', async () => {
  await using cluster = await healthyCluster()
  // As by three operators at once: each member decides before it has heard of the others.
  const drained = await Promise.all(cluster.members.map((member) => cluster.act(member, 'drain')))
  expect(drained.map(({ status }) => status)).toEqual([200, 200, 200])
  await cluster.agreeOn(0)
  const [first] = cluster.members as [LiveMember]
  const { code, findings } = await doctor([first])
  expect(code).toBe(6)
  expect(findings).toMatchObject([
    {
      code: 'RING_EMPTY',
      severity: 'critical',
      members: ['m0', 'm1', 'm2'],
      summary: 'Nobody owns a key: all members are drained.',
      runbook: 'docs/runbooks/ringman-ring-empty.md',
    },
  ])
  const { out } = await runMain(['doctor', '--url', first.addresses.admin.url])
  expect(out).toMatch(
    /^critical RING_EMPTY: Nobody owns a key: all members are drained\.\n.*`ringman return`[^\n]*\n {2}docs\/runbooks\/ringman-ring-empty\.md\n\n3 members answered; 1 thing is wrong\n$/s,
  )

  const readyz = await fetch(`${first.addresses.admin.url}/readyz`)
  expect([readyz.status, await readyz.text()]).toEqual([503, expect.stringContaining('nobody owns any key')])
  const owner = await fetch(`${first.addresses.http.url}/v1/owner?key=k`)
  expect([owner.status, await owner.json()]).toMatchObject([503, { code: 'RING_EMPTY' }])
  expect(first.logger.of('ring.changed').at(-1)).toMatchObject({
    level: 'warn',
    message: 'Changed the ring: it is empty, and nobody owns a key',
    fields: { nodes: 0 },
  })
})

describe('weights', () => {
  test('that were given by hand are a note, and nothing wrong', async () => {
    await using cluster = await healthyCluster()
    const weights = () =>
      cluster.members.map(({ process }) =>
        process.service.manager.snapshot.ring.nodes.map(({ weight }) => weight).join(),
      )
    await cluster.act(cluster.members[1]!, 'weight', { weight: 4 })
    await expect.poll(weights).toEqual(['1,4,1', '1,4,1', '1,4,1'])
    const { code, findings } = await doctor([cluster.members[0]!])
    expect(code).toBe(0)
    expect(findings).toMatchObject([{ code: 'WEIGHT_BY_HAND', severity: 'note', members: ['m1'] }])
    expect(findings[0]?.summary).toBe('"m1" has the weight 4 by hand, and 1 once it is restarted.')
  })

  test('that differ by configuration are a note; one that counts for less than it says is a warning', async () => {
    await using cluster = await healthyCluster()
    await cluster.add('big', { weight: '3' })
    await cluster.add('huge', { weight: '30' })
    await cluster.agreeOn(5)
    const { code, findings } = await doctor([cluster.members[0]!])
    expect(code).toBe(6)
    expect(findings).toMatchObject([
      { code: 'WEIGHT_CAPPED', severity: 'warning', members: ['huge'] },
      { code: 'WEIGHTS_DIFFER', severity: 'note', members: ['big', 'huge'] },
    ])
    expect(findings.map(({ summary }) => summary)).toEqual([
      '"huge" has the weight 30, and counts for 20.',
      '"big" has the weight 3, "huge" the weight 30, and most others 1.',
    ])
  })
})

test('an evicted member says so, and what to do with it', async () => {
  await using cluster = await healthyCluster()
  const [first, , last] = cluster.members as [LiveMember, LiveMember, LiveMember]
  await cluster.act(first, 'evict', { name: 'm2' })
  await cluster.agreeOn(2)
  const { findings } = await doctor([first, last])
  expect(findings).toMatchObject([
    { code: 'NOT_READY', members: ['m2'] },
    { code: 'EVICTED', members: ['m2'] },
  ])
  expect(findings[0]?.summary).toContain('This process has left the ring: an operator evicted it')
  expect(findings[0]?.advice).toContain('If it was evicted, stop it')
})

test('an eviction in force is a note, with those that refuse the member and how long they do', async () => {
  await using cluster = await healthyCluster()
  const [first, , last] = cluster.members as [LiveMember, LiveMember, LiveMember]
  await cluster.act(first, 'evict', { name: 'm2', forMs: 3 * 3_600_000 })
  const rest = cluster.members.slice(0, 2)
  await cluster.agreeOn(2, rest)
  const alone = await doctor([first])
  expect(alone).toMatchObject({ code: 0, findings: [{ code: 'EVICTED', severity: 'note', members: ['m2'] }] })
  expect(alone.findings[0]?.summary).toBe('"m2" is evicted for another 3 hours, by "m0", "m1".')
  expect(alone.findings[0]?.advice).toContain('or which member they learned it from (`eviction.learned`)')

  // Its ring is its own business: what is to be done is said by the eviction.
  await last.process.close(0)
  const back = await cluster.add('m2')
  await expect.poll(() => back.process.service.health().condition, { timeout: 60_000 }).toBe('refused')
  const { codes, findings } = await doctor([first, back])
  expect(codes).toEqual(['MEMBER_NOT_WELL', 'EVICTED'])
  expect(findings[0]?.summary).toContain('an operator evicted this member')
})

test('a member that left and did not stop keeps its ring, which is compared with none', async () => {
  await using cluster = await healthyCluster()
  const [first, , last] = cluster.members as [LiveMember, LiveMember, LiveMember]
  await cluster.act(last, 'evict', { name: 'm2', forMs: 1, relayed: true })
  await cluster.agreeOn(2)
  const urls = [first, last].map(({ addresses }) => addresses.admin.url)
  const found = await survey({ urls, follow: true, timeoutMs: 60_000 })
  const codesWhereOldIs = (name: string) => {
    const aged = ({ report, ...rest }: Survey['members'][number]) => ({
      ...rest,
      report: report.name === name ? { ...report, digest: 'old' } : report,
    })
    return diagnose({ ...found, members: found.members.map(aged) }).map(({ code }) => code)
  }
  expect(codesWhereOldIs('m2')).toEqual(['NOT_READY'])
  expect(codesWhereOldIs('m1')).toEqual(['RINGS_DIFFER', 'NOT_READY'])
})

test('seeds that answer and refuse the only member that is asked are not stale', async () => {
  await using cluster = await healthyCluster()
  const [first, , last] = cluster.members as [LiveMember, LiveMember, LiveMember]
  await cluster.act(first, 'evict', { name: 'm2' })
  await cluster.agreeOn(2)
  expect((await doctor([last])).codes).not.toContain('SEEDS_STALE')
  await last.process.close(0)
  const evicted = await cluster.add('m2')
  const labelled = await cluster.add('odd', { label: 'other' })
  for (const member of [evicted, labelled]) {
    await expect.poll(() => member.process.service.health().condition, { timeout: 60_000 }).toBe('refused')
    const { findings } = await doctor([member])
    expect(findings).toMatchObject([{ code: 'MEMBER_NOT_WELL', members: [member.name] }])
    expect(findings[0]?.summary).toContain('It is refused: the seed')
  }
  // One that nobody is at is told of none the less.
  const both = `127.0.0.1:${first.addresses.gossip?.port},127.0.0.1:9`
  const lost = await cluster.add('lost', { label: 'other', seeds: both })
  await expect.poll(() => lost.process.service.health().condition, { timeout: 60_000 }).toBe('refused')
  const { findings } = await doctor([lost])
  expect(findings.map(({ code }) => code)).toEqual(['MEMBER_NOT_WELL', 'SEEDS_STALE'])
  expect(findings[1]?.summary).toBe('Seeds lead to 127.0.0.1:9, where no member is.')
})

test('how far a rotation of the key is', async () => {
  await using cluster = new LiveCluster()
  const [old, fresh] = [generateKey(), generateKey()]
  const idOf = (key: string) => keyId(parseKeyring(key)[0]!)
  const fileOf = (name: string) => `${cluster.folder}/${name}.keyring`
  for (const name of ['m0', 'm1', 'm2']) {
    writeFileSync(fileOf(name), old)
    await cluster.add(name, { keyringFile: fileOf(name) })
  }
  await cluster.agreeOn(3)
  const give = async (members: readonly LiveMember[], keys: readonly string[]) => {
    for (const member of members) {
      writeFileSync(fileOf(member.name), keys.join('\n'))
      expect((await cluster.act(member, 'reload')).status).toBe(200)
    }
  }
  const found = async () => {
    const { code, findings } = await doctor(cluster.members)
    expect(JSON.stringify(findings)).not.toContain(fresh)
    return findings.length === 0 ? code : findings.map(({ code: it, summary }) => `${it} ${summary}`)
  }
  const [first] = cluster.members as [LiveMember]
  const rest = cluster.members.slice(1)
  const both = `${idOf(old)} and ${idOf(fresh)}`
  const bothNew = `${idOf(fresh)} and ${idOf(old)}`
  const changing = (what: string) => [`KEY_CHANGING The key is being changed: ${what}.`]

  expect(await found()).toBe(0)
  await give([first], [old, fresh])
  expect(await found()).toEqual(
    changing(`all encrypt with ${idOf(old)}, and "m1", "m2" do not have all of ${both}`),
  )
  await give(rest, [old, fresh])
  expect(await found()).toEqual(changing(`all encrypt with ${idOf(old)}, and all have ${both}`))
  await give([first], [fresh, old])
  expect(await found()).toEqual(
    changing(`some encrypt with ${idOf(fresh)} and some encrypt with ${idOf(old)}, and all have ${bothNew}`),
  )
  await give(rest, [fresh, old])
  expect(await found()).toEqual(changing(`all encrypt with ${idOf(fresh)}, and all have ${bothNew}`))
  await give(rest, [fresh])
  expect(await found()).toEqual(
    changing(`all encrypt with ${idOf(fresh)}, and "m1", "m2" do not have all of ${bothNew}`),
  )
  await give([first], [fresh])
  expect(await found()).toBe(0)
})

describe('by what members say of each other', () => {
  const ask = (cluster: LiveCluster) =>
    survey({ urls: [cluster.members[0]!.addresses.admin.url], follow: true, timeoutMs: 60_000 })

  /** The survey with what one member says of its gossip changed. */
  function saying(
    { members, ...rest }: Survey,
    name: string,
    change: Partial<NonNullable<MemberReport['gossip']>>,
  ): Survey {
    return {
      ...rest,
      members: members.map((member) => {
        const { report } = member
        if (report.name !== name || report.gossip === null) return member
        return { ...member, report: { ...report, gossip: { ...report.gossip, ...change } } }
      }),
    }
  }

  test('gossip of strangers is told of for half a minute', async () => {
    await using cluster = await healthyCluster()
    const found = await ask(cluster)
    const dropped = (agoMs: number, reason = 'cannot-decrypt', from = '10.0.0.9:7946') =>
      diagnose(saying(found, 'm1', { drops: { [reason]: 7 }, lastDrops: [{ reason, from, agoMs }] }))
    expect(dropped(29_999)).toMatchObject([
      {
        code: 'STRANGERS',
        members: ['m1'],
        summary: '"m1" was sent gossip with another key in the last 30 s, from 10.0.0.9:7946.',
      },
    ])
    expect(dropped(30_001)).toEqual([])
    expect(dropped(0, 'malformed')).toEqual([])
    // What a member sent before it was mended; with encryption off it may send plain gossip still.
    const { host, port } = cluster.members[2]!.addresses.gossip!
    expect(dropped(0, 'cannot-decrypt', `${host}:${port}`)).toEqual([])
    expect(dropped(0, 'label-differs', `${host}:${port}`)).toEqual([])
    expect(dropped(0, 'not-encrypted', `${host}:${port}`)).toMatchObject([{ code: 'STRANGERS' }])
    // Where a member that was asked explains it, it is told once.
    const odd = saying(saying(found, 'm2', { keys: ['other'] }), 'm1', {
      lastDrops: [{ reason: 'cannot-decrypt', from: '10.0.0.9:7946', agoMs: 0 }],
    })
    expect(diagnose(odd).map(({ code }) => code)).toEqual(['KEYS_DIFFER'])
  })

  test.each([
    ['KEYS_DIFFER', { keys: ['other'] }],
    ['LABELS_DIFFER', { label: 'other' }],
    ['PLAIN_AMONG_KEYED', { keys: [] }],
    ['CLUSTER_NAMES_DIFFER', { clusterName: 'other' }],
  ])('no port is called closed where %s explains the silence', async (code, change) => {
    await using cluster = await healthyCluster()
    const found = saying(await ask(cluster), 'm2', change)
    const members = found.members.map((member) => ({
      ...member,
      reach: member.reach?.map((peer) =>
        peer.name === 'm2' || member.report.name === 'm2' ? { ...peer, udp: false, tcp: false } : peer,
      ),
    }))
    expect(diagnose({ ...found, members }).map((finding) => finding.code)).toEqual([code])
  })

  test.each([
    ['UDP_BLOCKED', { udp: false, tcp: true }],
    ['TCP_BLOCKED', { udp: true, tcp: false }],
    ['NOT_REACHED', { udp: false, tcp: false }],
  ])('%s is found', async (code, how) => {
    await using cluster = await healthyCluster()
    const found = await ask(cluster)
    expect(diagnose(found)).toEqual([])
    const members = found.members.map((member) => ({
      ...member,
      reach: member.reach?.map((peer) =>
        member.report.name === 'm0' && peer.name === 'm2' ? { ...peer, ...how } : peer,
      ),
    }))
    expect(diagnose({ ...found, members })).toMatchObject([{ code, members: ['m0', 'm2'] }])
  })
})

test('a bundle holds what was found, for its owner alone, and no secret', async () => {
  await using cluster = await healthyCluster()
  const path = `${cluster.folder}/bundle.json`
  const { code } = await runMain([
    'doctor',
    '--url',
    cluster.members[0]!.addresses.admin.url,
    '--bundle',
    path,
  ])
  expect(code).toBe(0)
  const text = readFileSync(path, 'utf8')
  expect((JSON.parse(text) as { members: unknown[] }).members).toHaveLength(3)
  expect(text).not.toContain(readFileSync(cluster.keyringFile, 'utf8').trim())
  expect(text).not.toContain(cluster.token)
  expect(statSync(path).mode & 0o777).toBe(0o600)
})

test('a bundle replaces a plain file and nothing else, whole or not at all', async () => {
  await using cluster = await healthyCluster()
  const folder = `${cluster.folder}/bundles`
  const path = `${folder}/bundle.json`
  const args = ['doctor', '--url', cluster.members[0]!.addresses.admin.url, '--bundle']
  const refused = async (at: string, why: string) => {
    const { code, out, err } = await runMain([...args, at])
    // What was found is told none the less.
    expect([code, out]).toEqual([2, '3 members answered; nothing is wrong\n'])
    expect(err).toBe(`ringman: the bundle ${at} cannot be written: ${why}\n`)
  }
  await refused(path, 'no such file or directory')
  mkdirSync(folder)
  await refused(`${cluster.keyringFile}/bundle.json`, 'not a directory')
  await refused(`${folder}/${'x'.repeat(300)}`, 'name too long')
  await refused('/dev/full', 'it is no plain file')
  await refused(folder, 'it is no plain file')
  // Nobody reads it: who opens it waits for ever.
  execFileSync('mkfifo', [path])
  await refused(path, 'it is no plain file')
  rmSync(path)
  symlinkSync(cluster.keyringFile, path)
  await refused(path, 'it is no plain file')
  rmSync(path)

  writeFileSync(path, 'old')
  chmodSync(path, 0o644)
  const { gossip } = cluster.members[0]!.addresses
  // A limit stands for a full disk.
  const limited = ['-c', 'ulimit -f 1; exec "$@"', 'sh', process.execPath, 'src/cli.ts', ...args, path]
  expect(await runCommand('sh', limited, cluster.folder)).toEqual({
    code: 2,
    stdout: '3 members answered; nothing is wrong\n',
    stderr: `ringman: the bundle ${path} cannot be written: file too large\n`,
  })
  expect([readdirSync(folder), readFileSync(path, 'utf8')]).toEqual([['bundle.json'], 'old'])
  expect((await runMain([...args, path])).code).toBe(0)
  expect(readdirSync(folder)).toEqual(['bundle.json'])
  expect(readFileSync(path, 'utf8')).toContain(`"port": ${gossip?.port}`)
  expect(statSync(path).mode & 0o777).toBe(0o600)
})

test('a token file that became unusable is told of, whatever the source', async () => {
  await using cluster = await healthyCluster()
  const tokenFile = `${cluster.folder}/other`
  writeFileSync(tokenFile, 'open-sesame')
  await cluster.add('m3', { tokenFile })
  await cluster.agreeOn(4)
  const listed = await cluster.add('listed', {
    ...Object.fromEntries(
      [
        'name',
        'bind',
        'gossipPort',
        'servicePort',
        'preset',
        'pushPullIntervalMs',
        'keyringFile',
        'seeds',
      ].map((setting) => [setting, undefined]),
    ),
    source: 'static',
    staticMembers: 'a:1',
    tokenFile,
  })
  const unusable = async (members: readonly LiveMember[]) =>
    (await doctor(members)).findings.filter(({ code }) => code === 'FILE_UNUSABLE')
  expect(await unusable([cluster.members[0]!, listed])).toEqual([])
  writeFileSync(tokenFile, '')
  expect(await unusable(cluster.members.slice(0, 1))).toMatchObject([
    { members: ['m3'], summary: `"m3" cannot use its token file ${tokenFile} as it is now: it is empty.` },
  ])
  expect(await unusable([listed])).toMatchObject([{ severity: 'warning' }])
  rmSync(tokenFile)
  const [gone] = await unusable(cluster.members.slice(0, 1))
  expect(gone?.summary).toContain('as it is now: there is no such file.')
})

test('without any answer it says so', async () => {
  expect(await runMain(['doctor', '--url', '127.0.0.1:9'])).toMatchObject({ code: 3, out: '' })
  await using cluster = await healthyCluster(1)
  const { admin, http } = cluster.members[0]!.addresses
  expect(await runMain(['doctor', '--url', http.url])).toEqual({
    code: 3,
    out: '',
    err: `ringman: no member answered: ${http.url} is a look-up port, and this is for the admin port (--admin-port, 8081 unless set); name a member's admin port by --url\n`,
  })
  const { findings } = await doctor([
    { addresses: { admin } },
    { addresses: { admin: http } },
  ] as LiveMember[])
  expect(findings).toMatchObject([{ code: 'ADMIN_UNREACHABLE' }])
  expect(findings[0]?.summary).toContain('is a look-up port')
})

test('each finding is in the documents, and each runbook that one names is there', () => {
  const text = readFileSync('docs/operating.md', 'utf8')
  for (const [code, runbook] of Object.entries(RUNBOOKS)) {
    expect(text).toContain(`\`${code}\``)
    if (runbook !== undefined) expect(existsSync(runbook), runbook).toBe(true)
  }
  for (const runbook of Object.values(CONDITION_RUNBOOKS)) expect(existsSync(runbook), runbook).toBe(true)
})
