/**
 * `npm run fuzz`: feeds the decoders of hostile bytes for long, and prints how fast that went and what was slowest.
 * RINGMAN_FUZZ_CASES sets the number of cases (10,000,000), RINGMAN_FUZZ_SEED repeats a run.
 */
import { WireFuzzer } from './wire-fuzz.ts'
import { loadSamples } from './wire-fuzz-samples.ts'
import { leastUs, worstDatagrams } from './wire-fuzz-worst.ts'

const DEFAULT_CASES = 10_000_000
const BATCH = 20_000
const REPORT_EVERY_MS = 20_000

/** The most that a datagram may take, and the process hold. */
const MAX_DATAGRAM_US = 1000
const MAX_RSS_BYTES = 512 * 1024 * 1024

const cases = Number(process.env['RINGMAN_FUZZ_CASES'] ?? DEFAULT_CASES)
const seed = Number(process.env['RINGMAN_FUZZ_SEED'] ?? Math.trunc(Math.random() * 2 ** 31))
const fuzzer = new WireFuzzer(loadSamples(), seed)

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

function megabytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(0)} MiB`
}

print(`wire: ${cases} cases, seed ${seed}, resident ${megabytes(process.memoryUsage.rss())} at the start`)
const startedMs = performance.now()
let reportedMs = startedMs
for (let done = 0; done < cases; done += BATCH) {
  fuzzer.run(Math.min(BATCH, cases - done))
  const nowMs = performance.now()
  if (nowMs - reportedMs < REPORT_EVERY_MS) continue
  reportedMs = nowMs
  const perSecond = (fuzzer.report.cases / (nowMs - startedMs)) * 1000
  print(
    `  ${fuzzer.report.cases} cases, ${perSecond.toFixed(0)}/s, resident ${megabytes(process.memoryUsage.rss())}`,
  )
}

const { byTarget, outcomes, slowestDatagram, slowestStream, maxRssBytes } = fuzzer.report
const seconds = (performance.now() - startedMs) / 1000
print(`${cases} cases in ${seconds.toFixed(1)} s: ${(cases / seconds).toFixed(0)} cases/s`)
print(`  targets: ${JSON.stringify(byTarget)}`)
print(`  outcomes: ${JSON.stringify(Object.fromEntries([...outcomes].toSorted((a, b) => b[1] - a[1])))}`)
print(
  `  slowest datagram: ${slowestDatagram.us.toFixed(0)} us, ${slowestDatagram.bytes} bytes, case ${slowestDatagram.caseNumber}`,
)
print(
  `  slowest stream: ${slowestStream.us.toFixed(0)} us, ${slowestStream.bytes} bytes, case ${slowestStream.caseNumber}`,
)
print(`  largest resident size: ${megabytes(maxRssBytes)}`)
print('datagrams that were built to be slow, least of many tries:')
let isTooSlow = slowestDatagram.us > MAX_DATAGRAM_US
for (const datagram of worstDatagrams()) {
  const us = leastUs(datagram)
  if (us > datagram.limitUs) isTooSlow = true
  print(`  ${us.toFixed(0).padStart(5)} us  ${datagram.name} (${datagram.bytes.length} bytes)`)
}
if (isTooSlow || maxRssBytes > MAX_RSS_BYTES) {
  print(`FAILED: the limits are ${MAX_DATAGRAM_US} us for a datagram and ${megabytes(MAX_RSS_BYTES)}`)
  process.exitCode = 1
}
