/** Runs one attack in a process of its own: `node run-attack.ts NAME MEMBERS-AS-JSON`; it ends by itself, or is killed. */
import type { Addresses } from './attacked-cluster.ts'
import { GOSSIP_ATTACKS } from './gossip-attacks.ts'
import { HTTP_ATTACKS } from './http-attacks.ts'

/** An attack on the first of the members, or on all of them. It tells what it sent and got for the table of results. */
export type Attack = (members: readonly Addresses[]) => Promise<string>

const [name = '', json = '[]'] = process.argv.slice(2)
const attack: Attack | undefined = { ...HTTP_ATTACKS, ...GOSSIP_ATTACKS }[name]
if (attack === undefined) throw new Error(`no attack is called ${name}`)
console.log(JSON.stringify({ event: 'over', told: await attack(JSON.parse(json) as Addresses[]) }))
process.exit(0)
