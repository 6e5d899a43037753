import { readFileSync } from 'node:fs'

/** The kernel's unit of CPU time in /proc, a constant of Linux on every platform that Node runs on. */
const TICKS_PER_SECOND = 100

/** What a process has used so far, and holds now. */
export interface ProcessUse {
  /** In user and system mode, in steps of 10. */
  readonly cpuMs: number
  readonly residentBytes: number
}

/**
 * Reads a process's use from /proc.
 *
 * @throws {Error} when there is no such process.
 */
export function readProcessUse(pid: number): ProcessUse {
  // The command's name may hold spaces and brackets: the fields that count are behind its last bracket.
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const ticks = Number(fields[11]) + Number(fields[12])
  const resident = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  if (!Number.isInteger(ticks) || resident === undefined) throw new Error(`cannot read /proc/${pid}`)
  return { cpuMs: (ticks / TICKS_PER_SECOND) * 1000, residentBytes: Number(resident) * 1024 }
}
