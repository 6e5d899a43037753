/**
 * One swim member as a process, for tests and benchmarks that kill it: started with its options as JSON in the
 * first argument, it reports its address and each change of its members over IPC, and obeys commands.
 */
import { systemClock } from '../../src/clock.ts'
import { SwimSource } from '../../src/membership/swim/swim-source.ts'
import { parseSeed } from '../../src/seeds/seed.ts'
import { LOOPBACK } from './loopback.ts'

export interface SwimProcessOptions {
  readonly name: string
  readonly port: number
  readonly seeds: readonly string[]
  readonly preset: 'lan' | 'wan' | 'local'
}

export type SwimProcessReport =
  | { readonly kind: 'started'; readonly port: number }
  | { readonly kind: 'members'; readonly states: Readonly<Record<string, string>> }
  | { readonly kind: 'left' }
  | { readonly kind: 'stats'; readonly stats: SwimProcessStats }

export interface SwimProcessStats {
  /** Heap and what Node keeps outside of it, in bytes, after a garbage collection where the process allows one. */
  readonly memoryBytes: number
  /** Datagrams and messages dropped so far. */
  readonly dropped: number
}

export type SwimProcessCommand =
  | { readonly kind: 'leave' }
  | { readonly kind: 'stats' }
  /** Blocks the event loop. */
  | { readonly kind: 'stall'; readonly ms: number }

const { name, port, seeds, preset } = JSON.parse(process.argv[2] ?? '{}') as SwimProcessOptions
const report = (message: SwimProcessReport) => process.send?.(message)

const source = new SwimSource({
  ...LOOPBACK,
  name,
  gossipPort: port,
  seeds: seeds.map(parseSeed),
  preset,
  clock: systemClock,
})
const reportMembers = () =>
  report({
    kind: 'members',
    states: Object.fromEntries(source.members.map((member) => [member.name, member.state])),
  })

source.subscribe(reportMembers)
await source.start(new AbortController().signal)
report({ kind: 'started', port: source.gossipAddress?.port ?? 0 })
reportMembers()

process.on('message', (command: SwimProcessCommand) => {
  if (command.kind === 'stall') {
    const endMs = performance.now() + command.ms
    while (performance.now() < endMs) {
      // Standing still is the purpose.
    }
    return
  }
  if (command.kind === 'stats') {
    globalThis.gc?.()
    const { heapUsed, external } = process.memoryUsage()
    const dropped = [...source.drops.values()].reduce((sum, count) => sum + count, 0)
    report({ kind: 'stats', stats: { memoryBytes: heapUsed + external, dropped } })
    return
  }
  void (async () => {
    await source.leave()
    report({ kind: 'left' })
  })()
})
process.on('disconnect', () => {
  process.exit()
})
