import { readFileSync } from 'node:fs'

/** The version of this package, such as `1.2.3`; read from `package.json`, which lies two folders up, of src and of dist. */
export function readVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
