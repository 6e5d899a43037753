import type { HashRing } from '../../ring/hash-ring.ts'
import { hashKey } from '../../ring/key-hash.ts'
import type { PageData, RingNode } from './data.ts'
import { html, type Markup, type Value } from './html.ts'
import { counted } from '../../counted.ts'
import { shareText } from './words.ts'

/** Who owns a place on the circle, 0 to 2^32 - 1. */
export type Owners = Pick<HashRing, 'ownerAt'>

/** In so many places the circle is asked for its owner: as fine as a screen shows. */
const SLOTS = 1440

/** Colours that the style sheet has. */
const COLOURS = 12

const RADIUS = 168

/**
 * A colour for each node, 0 to 11: one that its ring key leads to, so that it mostly stays when others come and go, and
 * that no other node has as long as there are enough.
 */
export function coloursOf(nodes: readonly { readonly ringKey: string }[]): Map<string, number> {
  const colours = new Map<string, number>()
  let taken = new Set<number>()
  for (const { ringKey } of nodes) {
    let hash = 7
    for (let at = 0; at < ringKey.length; at++) hash = (hash * 31 + ringKey.charCodeAt(at)) >>> 0
    let colour = hash % COLOURS
    while (taken.has(colour)) colour = (colour + 5) % COLOURS
    taken.add(colour)
    if (taken.size === COLOURS) taken = new Set()
    colours.set(ringKey, colour)
  }
  return colours
}

function pointAt(turn: number, radius: number): string {
  const angle = turn * 2 * Math.PI
  return `${(radius * Math.sin(angle)).toFixed(1)} ${(-radius * Math.cos(angle)).toFixed(1)}`
}

/** The path of each node's arcs; one whose arcs are all too small to be seen has none. */
function arcPaths(ring: Owners): Map<string, string> {
  const paths = new Map<string, string>()
  const owners = Array.from(
    { length: SLOTS },
    (_, slot) => ring.ownerAt(Math.floor(((slot + 0.5) / SLOTS) * 2 ** 32))?.ringKey,
  )
  for (let start = 0; start < SLOTS;) {
    const owner = owners[start]
    let end = start + 1
    while (end < SLOTS && owners[end] === owner) end++
    if (owner !== undefined) {
      // An arc of the whole circle would begin where it ends.
      const middle = (start + end) / 2 / SLOTS
      const half = end - start > SLOTS / 2 ? `A${RADIUS} ${RADIUS} 0 0 1 ${pointAt(middle, RADIUS)}` : ''
      const arc = `M${pointAt(start / SLOTS, RADIUS)}${half}A${RADIUS} ${RADIUS} 0 0 1 ${pointAt(end / SLOTS, RADIUS)}`
      paths.set(owner, (paths.get(owner) ?? '') + arc)
    }
    start = end
  }
  return paths
}

/** The ring as a circle: hash 0 at the top, clockwise, each arc in the colour of its owner. */
export function circle({ ring: { nodes, digest }, lookUp }: PageData, ring: Owners): Markup {
  const owners = lookUp?.owners?.map(({ ringKey }) => ringKey) ?? []
  const colours = coloursOf(nodes)
  const paths = arcPaths(ring)
  const shares = nodes.map(({ share }) => share)
  const range =
    nodes.length === 0
      ? 'It is empty.'
      : `Shares from ${shareText(Math.min(...shares))} to ${shareText(Math.max(...shares))}.`
  return html`<svg
    id="circle"
    class="circle ${owners.length > 0 && 'found'}"
    viewBox="-212 -212 424 424"
    role="img"
    aria-label="The ring as a circle of ${counted(nodes.length, 'node')}. ${range}"
    data-digest="${digest}"
  >
    <circle class="track" r="${RADIUS}" />
    ${nodes.map((node) => arcs(node, paths.get(node.ringKey), `c${colours.get(node.ringKey)} ${PLACES[owners.indexOf(node.ringKey)] ?? ''}`))}
    <line class="zero" x1="0" x2="0" y1="-196" y2="-206" />
    ${lookUp?.owners && marker(hashKey(lookUp.key) >>> 0)}
    <text class="count" y="6">${nodes.length}</text>
    <text class="unit" y="34">${nodes.length === 1 ? 'node' : 'nodes'}</text>
    <text class="digest" y="62">${digest.slice(0, 8)}</text>
  </svg>`
}

/** How the arcs of the owner and of the next nodes stand out. */
const PLACES = ['first', 'later', 'later']

function arcs(node: RingNode, path: string | undefined, classes: string): Value {
  if (path === undefined) return undefined
  const { ringKey, share } = node
  return html`<path class="arc ${classes}" data-node="${ringKey}" d="${path}"
    ><title>${titleOf(node)}: ${shareText(share)}</title></path
  >`
}

/** What a node is called: its name, and its ring key where that is another. */
export function titleOf({
  name,
  ringKey,
}: {
  readonly name?: string | undefined
  readonly ringKey: string
}): string {
  return name === undefined || name === ringKey ? ringKey : `${name} (${ringKey})`
}

/** Where a key lands on the circle. */
function marker(hash: number): Markup {
  const degrees = ((hash / 2 ** 32) * 360).toFixed(2)
  return html`<g transform="rotate(${degrees})">
    <line class="pin" x1="0" x2="0" y1="-140" y2="-194" /><path class="pin" d="M0 -194l-7 -14h14z" />
  </g>`
}
