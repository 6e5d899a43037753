import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'

const dockerfile = readFileSync('Dockerfile', 'utf8')
const instructions = dockerfile.split('\n').filter((line) => line !== '' && !line.startsWith('#'))

/** The arguments of each line that begins with an instruction. */
function all(instruction: string): string[] {
  return instructions.flatMap((line) =>
    line.startsWith(`${instruction} `) ? [line.slice(instruction.length + 1)] : [],
  )
}

test('the label says the version of package.json unless told otherwise', () => {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
  expect(all('ARG')).toContain(`VERSION=${version}`)
})

test('what it copies is there, and gets past .dockerignore, which lets nothing else pass', () => {
  const copied = all('COPY')
    .filter((text) => !text.startsWith('--from'))
    .flatMap((text) => text.split(' ').slice(0, -1))
  expect(copied.length).toBeGreaterThan(5)
  expect(copied.filter((path) => !existsSync(path))).toEqual([])
  const rules = readFileSync('.dockerignore', 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
  expect(rules[0]).toBe('*')
  expect(rules.slice(1).sort()).toEqual([...new Set(copied)].map((path) => `!${path}`).sort())
})

test('what it runs imports nothing that it does not copy', () => {
  const copied = all('COPY').flatMap((text) => text.split(' ').slice(0, -1))
  const scripts = copied.filter((path) => /^tools\/.*\.ts$/.test(path))
  const imported = scripts.flatMap((path) =>
    [...readFileSync(path, 'utf8').matchAll(/from '(\.[^']+)'/g)].map(([, to]) => join(dirname(path), to!)),
  )
  expect(imported).toContain('tools/lighten-chunks.ts')
  expect(imported.filter((path) => !copied.includes(path) && !path.startsWith('src/'))).toEqual([])
})

test('it names no registry beside the public one of its base images, which are arguments', () => {
  const hosts = [...dockerfile.matchAll(/\b[a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:io|com|org|dev|net)\b/g)].map(
    ([host]) => host,
  )
  expect(new Set(hosts)).toEqual(new Set(['docker.io']))
  expect(all('FROM').map((text) => text.split(' ')[0])).toEqual([
    '${NODE_IMAGE}',
    '${NODE_IMAGE}',
    '${BASE_IMAGE}',
  ])
})

test('it runs as a numbered user, so that Kubernetes can see that this is not root', () => {
  expect(all('USER')).toEqual(['65532:65532'])
})
