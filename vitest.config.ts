import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/**
 * Files that mostly wait for processes and time begin first, so that others run meanwhile. Vitest has the large files first where
 * it knows no times, and these are small: the last of them would keep everybody waiting.
 */
class LongWaitsFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    const isLong = ({ moduleId }: TestSpecification) => /\/test\/(e2e|examples|sim|cli)\//.test(moduleId)
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))]
  }
}

/**
 * Suites with real programs around ringman: Prometheus and an OpenTelemetry receiver, helm and kubectl, containers, a
 * Kubernetes API server, proxies, the programs of `examples/` ten times.
 */
const SYSTEM_SUITES = ['telemetry', 'chart', 'containers', 'k8s', 'api', 'proxies', 'handover', 'browser']

/**
 * `default` is what `npm test` runs: no root, no network beyond loopback, under two minutes. `hostile` sends
 * great numbers of bad bytes, `adversary` attacks real members within the chart's memory limit, `conformance` proves the clients with a ring of
 * their own, `interop` runs real peers, which it builds or needs to have installed.
 */
export default defineConfig({
  test: {
    // The default leaves one core idle, which on two cores means one file at a time. Files that run processes mostly
    // wait for them.
    maxWorkers: 3,
    sequence: { sequencer: LongWaitsFirst },
    projects: [
      {
        test: {
          name: 'default',
          include: ['test/**/*.test.ts'],
          exclude: [
            'test/interop/**',
            'test/hostile/**',
            'test/adversary/**',
            'test/conformance/{kit,python,go,hash-rings}.test.ts',
            'test/network/**',
            'test/system/**',
          ],
          // A process of its own for each of 250 files, and in it all that they import, would cost as much as half of the tests.
          isolate: false,
          // Nothing is measured by these: they end what hangs, however busy the machine is.
          testTimeout: 120_000,
          hookTimeout: 120_000,
          expect: { poll: { timeout: 60_000 } },
          setupFiles: process.env['NODE_V8_COVERAGE'] === undefined ? [] : ['tools/coverage.ts'],
        },
      },
      {
        test: {
          name: 'hostile',
          include: ['test/hostile/**/*.test.ts'],
          testTimeout: 900_000,
          hookTimeout: 300_000,
          expect: { poll: { timeout: 60_000 } },
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'adversary',
          include: ['test/adversary/**/*.test.ts'],
          testTimeout: 900_000,
          hookTimeout: 300_000,
          // What others do at the same time would count as an attack.
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'conformance',
          include: ['test/conformance/{kit,python,go,hash-rings}.test.ts'],
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
      {
        test: {
          name: 'interop',
          include: ['test/interop/**/*.test.ts', 'test/network/**/*.test.ts'],
          testTimeout: 300_000,
          hookTimeout: 600_000,
          fileParallelism: false,
        },
      },
      ...SYSTEM_SUITES.map((name) => ({
        test: {
          name,
          include: [`test/system/${name}/**/*.test.ts`],
          testTimeout: 300_000,
          hookTimeout: 1_800_000,
          fileParallelism: false,
        },
      })),
    ],
  },
})
