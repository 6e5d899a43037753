import { readFileSync } from 'node:fs'

/** The version of this package, such as `1.2.3`; read from `package.json`, which lies two folders up, of src and of dist. */
export function readVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string
  }
  return version
}
