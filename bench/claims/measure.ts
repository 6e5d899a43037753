/** One measurement of `run.ts`, in a process of its own: `measure.ts unread|read|listened COUNT`. */
import { RingmanError } from '../../src/errors.ts'
import { hashKey } from '../../src/ring/key-hash.ts'
import { HashRing } from '../../src/ring/hash-ring.ts'
import { Claims, type Claim, type LostStretch } from '../../src/service/claims.ts'

const [, , kind = 'unread', countText = '1000000'] = process.argv
const count = Number(countText)

/** Ten nodes take a part each from one that owned all. */
const before = HashRing.of([{ ringKey: 'self', weight: 1 }])
const after = HashRing.of([
  { ringKey: 'self', weight: 9 },
  ...Array.from({ length: 2 }, (_, i) => ({ ringKey: `other-${i}`, weight: 1 })),
])
const reason = new RingmanError('CLAIM_LOST', 'measured')
const TENTH = 0.1 * 2 ** 32
const stretches: LostStretch[] = []
let share = 0
for (const { start, end } of before.movedTo(after).lostBy('self')) {
  if (share >= TENTH) break
  const until = Math.min(end, start + TENTH - share)
  stretches.push({ start, end: until, reason: () => reason })
  share += until - start
}

function memory() {
  globalThis.gc?.()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return { heapMb: heapUsed / 2 ** 20, arraysMb: arrayBuffers / 2 ** 20 }
}

const cpuMs = () => process.cpuUsage().user / 1000

// The code is compiled before it is measured, as in a process that has run for a while.
const warm = new Claims(setImmediate)
const warmed = Array.from({ length: 50_000 }, (_, i) => warm.add(i * 80_000))
if (kind !== 'unread') for (const claim of warmed) void claim.signal
warm.lose(stretches)
await new Promise((resolve) => setTimeout(resolve, 100))

const held: Claim[] = Array.from<Claim>({ length: count })
const empty = memory()
const turnsMs: { readonly wall: number; readonly cpu: number }[] = []
let toldAtMs = 0
/** Each turn as the event loop would take it, measured. */
const claims = new Claims((turn) => {
  setImmediate(() => {
    measure(turn)
  })
})
function measure(turn: () => void): void {
  const [wall, cpu] = [performance.now(), cpuMs()]
  turn()
  turnsMs.push({ wall: performance.now() - wall, cpu: cpuMs() - cpu })
  toldAtMs = performance.now()
}
for (let i = 0; i < count; i++) held[i] = claims.add(hashKey(`key-${i}`))
let heard = 0
if (kind === 'read') for (const claim of held) void claim.signal
if (kind === 'listened') {
  const listener = () => {
    heard++
  }
  for (const claim of held) claim.signal.addEventListener('abort', listener)
}
const full = memory()
const startMs = performance.now()
const startCpuMs = cpuMs()
measure(() => {
  claims.lose(stretches)
})
await new Promise<void>((resolve) => {
  const look = () => {
    if (performance.now() - toldAtMs > 200) resolve()
    else setTimeout(look, 50)
  }
  look()
})
const lost = count - claims.count
if (kind === 'listened' && heard !== lost) throw new Error(`${lost} were lost, and ${heard} told`)
const sum = turnsMs.reduce((total, { cpu }) => total + cpu, 0)
console.log(
  JSON.stringify({
    heapMb: full.heapMb - empty.heapMb,
    arraysMb: full.arraysMb - empty.arraysMb,
    lost,
    toldMs: toldAtMs - startMs,
    longestTurnMs: Math.max(...turnsMs.map(({ wall }) => wall)),
    longestTurnCpuMs: Math.max(...turnsMs.map(({ cpu }) => cpu)),
    cpuMs: Math.min(sum, cpuMs() - startCpuMs),
    turns: turnsMs.length,
  }),
)
