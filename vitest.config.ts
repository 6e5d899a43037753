import { defineConfig } from 'vitest/config'

/**
 * `default` is what `npm test` runs: no root, no network beyond loopback, under two minutes.
 * The slower suites (real peers, long fuzzing) are projects of their own, named after their folder.
 */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'default',
          include: ['test/**/*.test.ts'],
          exclude: ['test/interop/**', 'test/hostile/**'],
          testTimeout: 20_000,
        },
      },
      {
        test: {
          name: 'hostile',
          include: ['test/hostile/**/*.test.ts'],
          testTimeout: 600_000,
          fileParallelism: false,
        },
      },
    ],
  },
})
