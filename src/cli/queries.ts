import { placeOf } from '../client/agreement.ts'
import type { NodeView, RingAnswer } from '../client/answers.ts'
import { RingmanClient } from '../client/ringman-client.ts'
import type { ClientConfig, GetConfig, PlanConfig, WatchConfig } from '../config/client-settings.ts'
import { counted } from '../counted.ts'
import { RingmanError } from '../errors.ts'
import { printable, printableValue } from '../printable.ts'
import { HashRing } from '../ring/hash-ring.ts'
import { findNode } from '../service/ownership.ts'
import {
  BAR_WIDTH,
  renderBar,
  renderJson,
  renderMoves,
  renderShare,
  renderTable,
  type CommandInput,
  type Terminal,
} from './terminal.ts'

/** `ringman get`: one line per owner, ring key and address. */
export async function runGet(input: CommandInput<GetConfig> & { readonly key: string }): Promise<void> {
  const { config, terminal, json, key } = input
  const client = clientOf(config)
  const answer = config.count === 1 ? await client.owner(key) : await client.owners(key, config.count)
  const owners = 'owner' in answer ? [answer.owner] : answer.owners
  terminal.out(json ? renderJson(answer) : renderOwners(owners))
}

/** `ringman nodes`: every member that the asked one knows. */
export async function runNodes({ config, terminal, json }: CommandInput<ClientConfig>): Promise<void> {
  const answer = await clientOf(config).members()
  if (json) return terminal.out(renderJson(answer))
  const nowMs = Date.now()
  const rows = answer.members.map((member) => [
    member.name,
    member.state,
    renderAge(nowMs - member.stateSinceMs),
    member.ringKey ?? '-',
    member.weight === null ? '-' : String(member.weight),
    member.zone ?? '-',
    member.offRingReason?.message ?? member.handover ?? (member.self ? 'answers you' : ''),
  ])
  const table = renderTable([['MEMBER', 'STATE', 'FOR', 'RING KEY', 'WEIGHT', 'ZONE', ''], ...rows], [2, 4])
  const { kind, ok, message } = answer.source
  const sentence = printable(message)
  terminal.out(`${table}\nSource ${printable(kind)}: ${ok ? sentence : terminal.style('yellow', sentence)}\n`)
}

/**
 * `ringman ring`: shares as bars, the longest first.
 *
 * @throws {RingmanError} `RING_EMPTY`, after it has printed what there is.
 */
export async function runRing({ config, terminal, json }: CommandInput<ClientConfig>): Promise<void> {
  const ring = await clientOf(config).ring()
  if (json) terminal.out(renderJson(ring))
  else if (ring.nodes.length > 0) terminal.out(renderRing(ring, terminal))
  if (ring.nodes.length === 0) throw new RingmanError('RING_EMPTY', 'no nodes in ring')
}

/** `ringman rings`: the rings of HashRings that the asked member has. */
export async function runRings(input: CommandInput<Omit<ClientConfig, 'ring'>>): Promise<void> {
  const { config, terminal, json } = input
  const answer = await clientOf({ ...config, ring: undefined }).rings()
  if (json) return terminal.out(renderJson(answer))
  const rows = answer.rings.map(({ name, reason, ring }) => [
    name,
    ring === null ? '-' : String(ring.nodes),
    ring === null ? '-' : String(ring.held),
    ring?.digest ?? '-',
    String(ring?.version ?? '-'),
    ring === null ? (reason ?? 'its endpoints are not known yet') : ring.ok ? '' : ring.message,
  ])
  terminal.out(`${renderTable([['RING', 'NODES', 'HELD', 'DIGEST', 'VERSION', ''], ...rows], [1, 2, 4])}\n`)
}

/**
 * `ringman watch`: a line, or the whole ring as JSON, now and at each change, until SIGINT or SIGTERM. With `--node` what the
 * node owns, then what it gained and lost.
 */
export async function runWatch({ config, terminal, json }: CommandInput<WatchConfig>): Promise<void> {
  const client = clientOf(config)
  const over = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => over.abort())
  try {
    // A first look-up, so that a wrong URL ends the command instead of being tried forever.
    await client.ring(over.signal)
  } catch (error) {
    if (over.signal.aborted) return
    throw error
  }
  const { node } = config
  let before: RingAnswer | undefined
  let ringBefore = HashRing.empty
  const watch = client.watch({
    signal: over.signal,
    onDisconnect: (error) => terminal.err(`ringman: ${printable(error.message)}; trying again\n`),
  })
  for await (const ring of watch) {
    if (node !== undefined) {
      const ringAfter = HashRing.of(ring.nodes)
      const event = nodeEvent(ringBefore, ringAfter, node)
      if (json) terminal.out(renderJson(event, 0))
      else terminal.out(`${new Date().toISOString()}  ${renderNodeEvent(event, terminal)}\n`)
      ringBefore = ringAfter
    } else if (json) terminal.out(renderJson(ring, 0))
    else
      terminal.out(`${new Date().toISOString()}  ${renderChange(before, printableValue(ring), terminal)}\n`)
    before = printableValue(ring)
  }
}

/**
 * `ringman plan`: what would move, in all and from whom to whom. Nodes may be given by name.
 *
 * @throws {RingmanError} `PLAN_INVALID` when nothing would change, or a node would join without the port that the ring
 *   keys of the others have.
 */
export async function runPlan({ config, terminal, json }: CommandInput<PlanConfig>): Promise<void> {
  const { join } = config
  if (config.leave.length + join.length + config.weight.length === 0) {
    throw new RingmanError('PLAN_INVALID', 'say what would change: --leave, --join or --weight')
  }
  const weightless = config.weight.find((entry) => !entry.includes('='))
  if (weightless !== undefined)
    throw new RingmanError('PLAN_INVALID', `--weight takes NODE=WEIGHT, got ${JSON.stringify(weightless)}`)
  const client = clientOf(config)
  const { nodes } = await client.ring()
  const ringKeyOf = (given: string) =>
    (nodes.find(({ ringKey }) => ringKey === given) ?? nodes.find(({ name }) => name === given))?.ringKey ??
    given
  const leave = config.leave.map(ringKeyOf)
  const weight = config.weight.map((entry) => {
    const [, node = entry, rest = ''] = /^(.*)(=.*)$/.exec(entry) ?? []
    return `${ringKeyOf(node)}${rest}`
  })
  const portless = join.find((entry) => !/:\d+(=.*)?$/.test(entry))
  const [example] = nodes
  if (
    portless !== undefined &&
    example !== undefined &&
    nodes.every(({ ringKey }) => /:\d+$/.test(ringKey))
  ) {
    throw new RingmanError(
      'PLAN_INVALID',
      `${portless} has no port: ring keys are IP:PORT here, such as ${example.ringKey}`,
    )
  }
  const answer = await client.plan({ leave, join, weight })
  if (json) return terminal.out(renderJson(answer))
  terminal.out(`${terminal.style('bold', renderShare(answer.movedShare))} of all keys would move\n`)
  if (answer.moves.length === 0) return
  if (answer.moves.every(({ to }) => to === null))
    terminal.out('The ring would be empty: nobody would own a key\n')
  const labelOf = (ringKey: string | null) => {
    const { name } = nodes.find((node) => node.ringKey === ringKey) ?? {}
    return name === undefined || name === ringKey ? ringKey : `${ringKey} (${name})`
  }
  const moves = answer.moves.map(({ from, to, share }) => ({ from: labelOf(from), to: labelOf(to), share }))
  terminal.out(`\n${renderMoves(moves)}`)
}

function clientOf(config: ClientConfig): RingmanClient {
  return new RingmanClient({ urls: config.url, ring: config.ring, timeoutMs: config.timeoutMs })
}

/** An owner per line: its ring key, and where it is reached if that says more. */
function renderOwners(owners: readonly NodeView[]): string {
  return renderTable(
    owners.map((node) => {
      const { ringKey, name = ringKey } = node
      return [ringKey, ...[placeOf(node) || ringKey, name].filter((text) => text !== ringKey)]
    }),
  )
}

function renderRing(ring: RingAnswer, terminal: Terminal): string {
  const nodes = ring.nodes.toSorted((a, b) => b.share - a.share)
  const largest = nodes[0]?.share ?? 1
  const labels = nodes.map(({ ringKey, name = ringKey, weight, share }) => [
    ringKey,
    name === ringKey ? '' : name,
    String(weight),
    renderShare(share),
  ])
  const lines = renderTable([['RING KEY', 'NAME', 'WEIGHT', 'SHARE'], ...labels], [2, 3])
    .trimEnd()
    .split('\n')
  const widest = Math.max(...lines.map((line) => line.length))
  const barWidth = Math.max(8, Math.min(BAR_WIDTH, terminal.columns - widest - 2))
  const withBars = lines.map((line, at) => {
    const node = nodes[at - 1]
    if (node === undefined) return terminal.style('bold', line)
    const bar = renderBar(node.share / largest, barWidth)
    return `${line.padEnd(widest)}  ${terminal.style('cyan', bar)}`
  })
  const seconds = (ring.sinceChangeMs / 1000).toFixed(1)
  return `${withBars.join('\n')}\n\n${counted(ring.nodes.length, 'node')}, digest ${printable(ring.digest)}, epoch ${ring.epoch}, last change ${seconds} s ago\n`
}

function renderChange(before: RingAnswer | undefined, ring: RingAnswer, terminal: Terminal): string {
  const byKey = (answer: RingAnswer | undefined) =>
    new Map(answer?.nodes.map((node) => [node.ringKey, node] as const))
  const [old, current] = [byKey(before), byKey(ring)]
  const difference = [
    ...[...current.keys()].filter((key) => !old.has(key)).map((key) => terminal.style('green', `+${key}`)),
    ...[...old.keys()].filter((key) => !current.has(key)).map((key) => terminal.style('red', `-${key}`)),
    ...[...current].flatMap(([key, node]) => {
      const changes = changesOf(old.get(key) ?? node, node)
      return changes.length === 0 ? [] : [terminal.style('yellow', `${key} ${changes.join(', ')}`)]
    }),
  ]
  return [counted(ring.nodes.length, 'node'), `digest ${ring.digest}`, ...difference].join('  ')
}

/** What is said otherwise of a node that stays. */
function changesOf(before: NodeView, after: NodeView): string[] {
  const facts = [
    ['weight', String(before.weight), String(after.weight)],
    ['at', placeOf(before) || '-', placeOf(after) || '-'],
    ['name', before.name ?? '-', after.name ?? '-'],
    ['zone', before.zone ?? '-', after.zone ?? '-'],
  ]
  return facts.flatMap(([fact, from, to]) => (from === to ? [] : [`${fact} ${from} → ${to}`]))
}

/** What a node owns, or gained and lost, between two rings that came one after the other. */
function nodeEvent(before: HashRing, after: HashRing, node: string) {
  const moved = before.movedTo(after)
  const [keyBefore, ringKey] = [findNode(before, node)?.ringKey, findNode(after, node)?.ringKey]
  const gained = moved.gainedBy(ringKey, keyBefore)
  const lost = moved.lostBy(keyBefore, ringKey)
  return {
    node,
    ringKey: ringKey ?? null,
    share: ringKey === undefined ? 0 : (after.shares().get(ringKey) ?? 0),
    gained: Array.from(gained, ({ start, end, from }) => ({ start, end, from: from?.ringKey ?? null })),
    lost: Array.from(lost, ({ start, end, to }) => ({ start, end, to: to?.ringKey ?? null })),
    before: before.digest,
    after: after.digest,
  }
}

function renderNodeEvent(event: ReturnType<typeof nodeEvent>, terminal: Terminal): string {
  const sumOf = (stretches: readonly { readonly start: number; readonly end: number }[]) =>
    stretches.reduce((sum, { start, end }) => sum + end - start, 0) / 2 ** 32
  const parts = [[event.gained, 'green', '+'] as const, [event.lost, 'red', '-'] as const]
  const moved = parts.flatMap(([stretches, colour, sign]) =>
    stretches.length === 0
      ? []
      : [
          terminal.style(
            colour,
            `${sign}${renderShare(sumOf(stretches))} in ${counted(stretches.length, 'stretch', 'stretches')}`,
          ),
        ],
  )
  const owns = event.ringKey === null ? 'is not on the ring' : `owns ${renderShare(event.share)}`
  return [`${printable(event.node)} ${owns}`, `digest ${printable(event.after)}`, ...moved].join('  ')
}

/** A time span in its largest sensible unit. */
function renderAge(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000))
  if (seconds < 120) return `${seconds}s`
  if (seconds < 7200) return `${Math.floor(seconds / 60)}m`
  return seconds < 172_800 ? `${Math.floor(seconds / 3600)}h` : `${Math.floor(seconds / 86_400)}d`
}
