import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { parse } from 'yaml'

/** A control group that kills what takes more memory than its limit, as a container's does; of either version. */
export class MemoryLimit implements Disposable {
  readonly #folder: string
  readonly #isV1: boolean

  /**
   * @param limitBytes - What the processes in it may take together, page cache included.
   * @throws {Error} where this user cannot make a memory control group.
   */
  constructor(name: string, limitBytes: number) {
    this.#isV1 = existsSync('/sys/fs/cgroup/memory')
    this.#folder = `/sys/fs/cgroup/${this.#isV1 ? 'memory/' : ''}ringman-adversary-${process.pid}-${name}`
    try {
      // Version 2 offers its groups only the controllers that are handed down to them.
      if (!this.#isV1) writeFileSync('/sys/fs/cgroup/cgroup.subtree_control', '+memory')
      mkdirSync(this.#folder)
      this.#write(this.#isV1 ? 'memory.limit_in_bytes' : 'memory.max', String(limitBytes))
    } catch (error) {
      throw new Error('cannot limit memory by a control group: the adversarial suite needs Linux and root', {
        cause: error,
      })
    }
  }

  /** A command, and its first arguments, that runs what follows them in this group. */
  get prefix(): readonly string[] {
    return ['sh', '-c', `echo $$ > ${this.#folder}/cgroup.procs && exec "$@"`, 'sh']
  }

  /** The most that was ever taken, in bytes. */
  get peakBytes(): number {
    return Number(this.#read(this.#isV1 ? 'memory.max_usage_in_bytes' : 'memory.peak'))
  }

  /** Begins the peak anew. Version 2 cannot before Linux 6.12: the peak is that of the whole life there. */
  resetPeak(): void {
    if (this.#isV1) this.#write('memory.max_usage_in_bytes', '0')
  }

  /** Its processes must be over. */
  [Symbol.dispose](): void {
    rmdirSync(this.#folder)
  }

  #read(file: string): string {
    return readFileSync(`${this.#folder}/${file}`, 'utf8')
  }

  #write(file: string, text: string): void {
    writeFileSync(`${this.#folder}/${file}`, text)
  }
}

/** The memory limit that the chart gives a member, in bytes. */
export function chartMemoryLimit(): number {
  const values = parse(readFileSync('helm/ringman/values.yaml', 'utf8')) as {
    readonly resources: { readonly limits: { readonly memory: string } }
  }
  const { memory } = values.resources.limits
  const match = /^(\d+)Mi$/.exec(memory)
  if (match === null) throw new Error(`the chart's memory limit is not in Mi: ${memory}`)
  return Number(match[1]) * 1024 * 1024
}

/** Compiles the program, as the image has it: from source it would take more memory. */
export function compile(): string {
  execFileSync('npm', ['run', '--silent', 'build'], { stdio: 'inherit' })
  return 'dist/cli.js'
}
