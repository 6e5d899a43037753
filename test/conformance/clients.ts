import { join } from 'node:path'
import { TYPESCRIPT_DRIVER } from '../../conformance/run.ts'
import { runGo } from '../support/go-module.ts'

const clients = new URL('../../clients/', import.meta.url).pathname

/** Gives the command of a driver. What has to be built for it goes into a folder that is removed at the end. */
type MakeDriver = (folder: string) => readonly string[] | Promise<readonly string[]>

/** The clients of this project. */
export const CLIENTS: readonly (readonly [name: string, makeDriver: MakeDriver])[] = [
  ['TypeScript', () => TYPESCRIPT_DRIVER],
  ['Python', () => ['python3', join(clients, 'python/conformance_driver.py')]],
  [
    'Go',
    async (folder) => {
      const driver = join(folder, 'driver')
      await runGo(join(clients, 'go'), ['build', '-o', driver, './internal/driver'])
      return [driver]
    },
  ],
]
