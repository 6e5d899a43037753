import { request, type IncomingMessage } from 'node:http'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setImmediate as turn } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import type { Finding } from '../../src/cli/doctor-finding.ts'
import { diagnose } from '../../src/cli/doctor-findings.ts'
import { survey } from '../../src/cli/doctor-survey.ts'
import { LiveCluster, type LiveMember } from '../support/live-cluster.ts'

/** Members that have the same label file each. */
class LabelledCluster extends LiveCluster {
  async addLabelled(name: string, labels: readonly string[], settings = {}): Promise<LiveMember> {
    this.write(name, labels)
    return this.add(name, { labelFile: this.#fileOf(name), ...settings })
  }

  write(name: string, labels: readonly string[]): void {
    writeFileSync(this.#fileOf(name), JSON.stringify(labels))
  }

  /** Gives a member other labels, by its admin port; with `details` as the answer. */
  async relabel(member: LiveMember, labels: readonly string[], expected = 200): Promise<string> {
    this.write(member.name, labels)
    const { status, json } = await this.act(member, 'reload')
    expect(status).toBe(expected)
    return String(json['details'] ?? json['detail'])
  }

  #fileOf(name: string): string {
    return join(this.folder, `${name}.labels.json`)
  }
}

/** Asks all members for owners, one after the other, until it is ended; tells what was not as it should be. */
function lookUps(members: readonly LiveMember[]) {
  const wrong: string[] = []
  let asked = 0
  const over = new AbortController()
  const owners = new Map<string, string>()
  const done = (async () => {
    while (!over.signal.aborted) {
      for (const { name, addresses } of members) {
        const key = `user:${asked++ % 500}`
        const asking = request(`${addresses.http.url}/v1/owner?key=${key}`).end()
        const [response] = (await once(asking, 'response')) as [IncomingMessage]
        const body = await text(response)
        const { owner } = JSON.parse(body) as { owner?: { ringKey: string } }
        const before = owners.get(key) ?? owner?.ringKey ?? ''
        owners.set(key, before)
        if (response.statusCode !== 200 || owner?.ringKey !== before) wrong.push(`${name}: ${body}`)
      }
      await turn()
    }
  })()
  return {
    async end() {
      over.abort()
      await done
      return { asked, wrong }
    },
  }
}

/** Waits until doctor finds what is expected, as a busy machine may answer late. */
async function untilDoctor(
  members: readonly LiveMember[],
  expected: (findings: readonly Finding[]) => void,
): Promise<void> {
  const urls = members.map(({ addresses }) => addresses.admin.url)
  await vi.waitFor(
    async () => {
      expected(diagnose(await survey({ urls, follow: false, timeoutMs: 15_000 })))
    },
    { timeout: 60_000, interval: 100 },
  )
}

/** Expects the change of the label alone. */
const changing = (summary: RegExp) => (findings: readonly Finding[]) => {
  expect(findings).toMatchObject([
    { code: 'LABEL_CHANGING', severity: 'note', summary: expect.stringMatching(summary) as string },
  ])
}

const nothing = (findings: readonly Finding[]) => {
  expect(findings).toEqual([])
}

test.each([
  ['from one to another, with keys', 'prod/old', {}],
  ['from one to another, without keys', 'prod/old', { keyringFile: undefined }],
  ['from none, with keys', '', {}],
])('the label of a running cluster changes %s, and nobody notices', async (_, old, settings) => {
  await using cluster = new LabelledCluster()
  for (let n = 0; n < 5; n++) await cluster.addLabelled(`m${n}`, [old], settings)
  const members = [...cluster.members]
  await cluster.agreeOn(5)
  await untilDoctor(members, nothing)
  const epochs = () => members.map(({ process }) => process.service.manager.snapshot.epoch)
  const before = epochs()
  const queries = lookUps(members)

  const step = async (labels: readonly string[], halfWay: RegExp, after: RegExp | undefined) => {
    const [early, late] = [members.slice(0, 2), members.slice(2)]
    for (const member of early) await cluster.relabel(member, labels)
    await untilDoctor(members, changing(halfWay))
    for (const member of late) await cluster.relabel(member, labels)
    await untilDoctor(members, after === undefined ? nothing : changing(after))
  }
  const was = old === '' ? 'none' : '"prod/old"'
  await step(
    [old, 'prod/new'],
    new RegExp(`all send ${was}, and "m2", "m3", "m4" do not accept all of ${was} and "prod/new"`),
    new RegExp(`all send ${was}, and all accept ${was} and "prod/new"`),
  )
  await step(
    ['prod/new', old],
    new RegExp(`some send "prod/new" and some send ${was}, and all accept`),
    /all send "prod\/new", and all accept "prod\/new" and/,
  )
  await step(['prod/new'], /all send "prod\/new", and "m0", "m1" do not accept all of/, undefined)

  const { asked, wrong } = await queries.end()
  expect(wrong.slice(0, 5)).toEqual([])
  expect(asked).toBeGreaterThan(25)
  // Nobody missed a word of anybody, and no ring changed.
  for (const { process } of members) expect(process.service.control?.report().drops).toEqual({})
  expect(epochs()).toEqual(before)

  // Whoever still has the old one stays outside; whoever has the new one comes in.
  const outside = await cluster.add('outside', { ...(old === '' ? {} : { label: old }), ...settings })
  await cluster.add('inside', { label: 'prod/new', ...settings })
  await cluster.agreeOn(
    6,
    cluster.members.filter((member) => member !== outside),
  )
  expect(outside.process.service.manager.snapshot.ring.size).toBe(1)
})

test('doctor says that a label is sent before all accept it', async () => {
  await using cluster = new LabelledCluster()
  for (let n = 0; n < 3; n++) await cluster.addLabelled(`m${n}`, ['prod/old'])
  await cluster.agreeOn(3)
  await cluster.relabel(cluster.members[2]!, ['prod/new', 'prod/old'])
  await untilDoctor(cluster.members, ([first]) => {
    expect(first).toMatchObject({
      code: 'LABELS_DIFFER',
      severity: 'critical',
      members: ['m2'],
      summary: '"m2" has the label "prod/new", and most others "prod/old".',
      advice: expect.stringContaining('Put both labels into every label file first') as string,
    })
  })
  for (const member of cluster.members.slice(0, 2)) await cluster.relabel(member, ['prod/old', 'prod/new'])
  // What was dropped meanwhile is told for half a minute, as gossip of strangers.
  await untilDoctor(cluster.members, (findings) => {
    expect(findings.map(({ code }) => code)).not.toContain('LABELS_DIFFER')
    const summary =
      'The label is being changed: some send "prod/old" and some send "prod/new", and all accept "prod/old" and "prod/new".'
    expect(findings.find(({ code }) => code === 'LABEL_CHANGING')?.summary).toBe(summary)
  })
})

test('a label file that cannot be used is told of, and the labels stay', async () => {
  await using cluster = new LabelledCluster()
  const member = await cluster.addLabelled('a', ['prod/old'])
  expect(await cluster.relabel(member, ['prod/old', 'prod/new'])).toMatch(
    /,It sends the label "prod\/old" and accepts the label "prod\/new" as well$/,
  )
  expect(await cluster.relabel(member, [], 409)).toMatch(
    /^Its keyring has .*\. Its label file \S+\.labels\.json cannot be used: .*holds no label.*\. It sends the label "prod\/old" and accepts .* as well, as before$/,
  )
  await untilDoctor([member], (findings) => {
    expect(findings).toMatchObject([
      {
        code: 'FILE_UNUSABLE',
        severity: 'warning',
        members: ['a'],
        summary: expect.stringMatching(
          /^"a" cannot use its label file .* as it is now: .*holds no label/,
        ) as string,
      },
      { code: 'LABEL_CHANGING' },
    ])
  })
  expect(member.logger.of('labels.refused')).toHaveLength(1)
  await cluster.relabel(member, ['prod/old'])
  await untilDoctor([member], nothing)
  await expect(cluster.addLabelled('b', ['two words'])).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
})
