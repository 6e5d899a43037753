import { expect, test } from 'vitest'
import { WireFuzzer } from './wire-fuzz.ts'
import { loadSamples } from './wire-fuzz-samples.ts'
import { leastUs, worstDatagrams } from './wire-fuzz-worst.ts'

const cases = Number(process.env['RINGMAN_FUZZ_CASES'] ?? 200_000)
const seed = Number(process.env['RINGMAN_FUZZ_SEED'] ?? Math.trunc(Math.random() * 2 ** 31))

/**
 * How many times its aim an input may take here. Speed is `npm run fuzz`'s to show, on a quiet machine; this only
 * finds inputs whose cost is out of all proportion.
 */
const PATIENCE = 20

test(`the wire decoders keep their promises for ${cases} hostile inputs (seed ${seed})`, () => {
  const fuzzer = new WireFuzzer(loadSamples(), seed)
  fuzzer.run(cases)
  const { slowestDatagram, outcomes } = fuzzer.report
  expect(slowestDatagram.us).toBeLessThan(1000 * PATIENCE)
  // The mutations must reach behind the outer checks, and not only the good cases.
  for (const outcome of [
    'ok',
    'partly',
    'malformed',
    'cannot-decrypt',
    'crc-mismatch',
    'label-differs',
    'unknown-type',
  ]) {
    expect([outcome, outcomes.get(outcome) ?? 0]).not.toEqual([outcome, 0])
  }
})

test.each(worstDatagrams())('decoding is bounded: $name', (datagram) => {
  expect(datagram.bytes.length).toBeLessThanOrEqual(65_535)
  expect(leastUs(datagram)).toBeLessThan(datagram.limitUs * PATIENCE)
})
