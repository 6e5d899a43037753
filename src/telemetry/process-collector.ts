import fs from 'node:fs'
import { performance } from 'node:perf_hooks'
import { promisify } from 'node:util'
import { readVersion } from './version.ts'
import type { LedgerCounts } from '../http/connection-ledger.ts'
import type { LookUpThreads } from '../http/threads/look-up-threads.ts'
import { byLabel, single, type Collector } from './sample.ts'

// Not those of `node:fs/promises`: that is a megabyte which a member has no other use for.
const readdir = promisify(fs.readdir)
const readFile = promisify(fs.readFile)

type Threads = Pick<LookUpThreads, 'answering' | 'replaced'>

const ONE_THREAD: Threads = { answering: 1, replaced: { late: 0, silent: 0, ended: 0 } }

/**
 * What is to be said of the process now.
 *
 * @param threads - Those that answer look-ups, where there are several. @default the main one alone
 */
export function processCollector(
  connections: () => LedgerCounts,
  threads: () => Threads | undefined = () => undefined,
): Collector {
  const version = readVersion()
  return async () => {
    const [openFds, maxFds] = await Promise.all([countOpenFds(), readMaxFds()])
    const { user, system } = process.cpuUsage()
    const { connections: open, limits, closed, heldBytes } = connections()
    const { answering, replaced } = threads() ?? ONE_THREAD
    const { rss, heapUsed, heapTotal, external } = process.memoryUsage()
    return {
      buildInfo: [{ value: 1, labels: { version, node_version: process.version } }],
      httpConnections: byLabel('port', open),
      httpConnectionsLimit: byLabel('port', limits),
      httpConnectionsClosed: byLabel('reason', closed),
      httpHeldBytes: byLabel('kind', heldBytes),
      httpThreads: single(answering),
      httpThreadsReplaced: byLabel('reason', replaced),
      processCpu: single((user + system) / 1e6),
      processStartTime: single(performance.timeOrigin / 1000),
      processResidentMemory: single(rss),
      processOpenFds: single(openFds),
      processMaxFds: single(maxFds),
      nodejsHeapUsed: single(heapUsed),
      nodejsHeapTotal: single(heapTotal),
      nodejsExternalMemory: single(external),
    }
  }
}

/** File descriptors that are open; undefined where there is no `/proc`, or where it may not be read. */
export async function countOpenFds(): Promise<number | undefined> {
  try {
    // One of them is the look itself.
    return (await readdir('/proc/self/fd')).length - 1
  } catch {
    // Not Linux: the metric has no series then.
    return undefined
  }
}

/** File descriptors that may be open; undefined without `/proc` or without a limit. */
export async function readMaxFds(): Promise<number | undefined> {
  try {
    const limits = await readFile('/proc/self/limits', 'utf8')
    const found = /^Max open files\s+(\d+)/m.exec(limits)?.[1]
    return found === undefined ? undefined : Number(found)
  } catch {
    // Not Linux: the metric has no series then.
    return undefined
  }
}
