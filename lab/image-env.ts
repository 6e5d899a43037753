import { readFileSync } from 'node:fs'

/** The variables that the image sets, from its Dockerfile. @throws {Error} where it sets none. */
export function imageEnv(): Readonly<Record<string, string>> {
  const dockerfile = readFileSync(new URL('../Dockerfile', import.meta.url), 'utf8')
  const [, text] = /^ENV (.+)$/m.exec(dockerfile) ?? []
  if (text === undefined) throw new Error('the Dockerfile sets no variables')
  const pairs = text.split(' ').map((pair): [string, string] => {
    const at = pair.indexOf('=')
    return [pair.slice(0, at), pair.slice(at + 1)]
  })
  return Object.fromEntries(pairs)
}
