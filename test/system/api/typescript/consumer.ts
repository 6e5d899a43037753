/** Asks a member, by a generated client, what an application asks, and prints the answers as JSON. */
import createClient from 'openapi-fetch'
import type { paths } from './ringman.js'

const client = createClient<paths>({ baseUrl: process.argv[2] ?? '' })

function the<T>(answer: { data?: T; error?: unknown }): T {
  if (answer.data === undefined) throw new Error(JSON.stringify(answer.error))
  return answer.data
}

const owner = the(await client.GET('/v1/owner', { params: { query: { key: 'user:42' } } }))
const owners = the(await client.GET('/v1/owners', { params: { query: { key: 'user:42', n: 2 } } }))
const batch = the(await client.POST('/v1/owners', { body: { keys: ['a', 'b', 'ключ'], n: 1 } }))
const ring = await client.GET('/v1/ring')
const members = the(await client.GET('/v1/members'))
const plan = the(
  await client.GET('/v1/plan', {
    params: { query: { leave: ['10.0.0.1:8000'], join: ['10.0.0.8:8000', '10.0.0.9:8000=2'] } },
  }),
)
const { error: problem } = await client.GET('/v1/owner', { params: { query: { key: '' } } })
if (problem === undefined) throw new Error('an empty key was taken')
const etag = ring.response.headers.get('etag') ?? ''
const cached = await client.GET('/v1/ring', { params: { header: { 'If-None-Match': etag } } })

console.log(
  JSON.stringify({
    owner: owner.owner.ringKey,
    owners: owners.owners.map((node) => node.ringKey),
    batch: batch.owners.map((places) => batch.nodes[places[0] ?? -1]?.ringKey),
    ring: the(ring).nodes.map((node) => node.ringKey),
    members: members.members.map(({ name, state }) => [name, state]),
    plan: plan.shares.map((share) => share.ringKey),
    digests: [owner.digest, owners.digest, batch.digest, the(ring).digest, plan.before],
    problem: [problem.status, problem.code],
    cached: cached.response.status,
  }),
)
