import { createHash } from 'node:crypto'
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { delimiter, dirname, join, resolve } from 'node:path'
import { containersFolder, containerEnvironment, podman, run, runChecked, tryPodman } from './containers.ts'

/** How long an image may take to build on a slow network, in milliseconds. */
const BUILD_DEADLINE_MS = 20 * 60_000

const REPOSITORY = 'localhost/ringman-test'
const CHECKOUT = resolve(import.meta.dirname, '../..')

/** An image of ringman that was built from this checkout. */
export interface BuiltImage {
  /** Name and tag. */
  readonly name: string
  /** What the build was given for the labels. */
  readonly version: string
  readonly revision: string
  /** The image that it is built on. */
  readonly base: string
  /** How long the build took, in milliseconds; undefined when the image was there already. */
  readonly buildMs: number | undefined
}

/**
 * Builds the image of this checkout as it lies there, committed or not, on images made on this machine. An image that was
 * built from the same files before is taken again.
 */
export async function buildImage(): Promise<BuiltImage> {
  const base = await makeDebianImage()
  const nodeImage = await makeNodeImage(base)
  const { folder, hash } = await copyCheckout()
  try {
    const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string }
    const name = `${REPOSITORY}/ringman:${hash.slice(0, 16)}`
    const image = { name, version, revision: hash.slice(0, 40), base }
    if (await imageExists(name)) return { ...image, buildMs: undefined }
    await removeOldImages()
    const npmrc = await writeNpmSettings()
    const startedMs = performance.now()
    try {
      await runChecked(
        'buildah',
        [
          'bud',
          '--runtime',
          'runc',
          '--format',
          'docker',
          '--network',
          'host',
          '--secret',
          `id=npmrc,src=${npmrc}`,
          '--build-arg',
          `NODE_IMAGE=${nodeImage}`,
          '--build-arg',
          `BASE_IMAGE=${base}`,
          '--build-arg',
          `REVISION=${image.revision}`,
          '--tag',
          name,
          folder,
        ],
        { env: containerEnvironment(), deadlineMs: BUILD_DEADLINE_MS },
      )
    } finally {
      rmSync(npmrc)
    }
    return { ...image, buildMs: performance.now() - startedMs }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

async function imageExists(name: string): Promise<boolean> {
  return (await tryPodman(['image', 'exists', name])).code === 0
}

/** Images of ringman from earlier states of the files, which nobody asks for any more. */
async function removeOldImages(): Promise<void> {
  const names = (
    await podman(['images', '--format', '{{.Repository}}:{{.Tag}}', `${REPOSITORY}/ringman`])
  ).trim()
  if (names !== '') await tryPodman(['rmi', '--force', ...names.split('\n')])
}

/** A Debian of the size of Docker's `debian:bookworm-slim`: the minimal packages without manuals and translations. */
async function makeDebianImage(): Promise<string> {
  const name = `${REPOSITORY}/debian:bookworm-slim`
  const archive = join(containersFolder(), `debian-bookworm-slim-${process.arch}.tar`)
  if (!existsSync(archive)) {
    const part = `${archive}.${process.pid}.tar`
    const excluded = ['man/*', 'doc/*', 'locale/*', 'info/*'].map(
      (path) => `--dpkgopt=path-exclude=/usr/share/${path}`,
    )
    try {
      await runChecked(
        'mmdebstrap',
        [
          '--variant=minbase',
          '--include=usr-is-merged',
          '--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr',
          ...excluded,
          '--dpkgopt=path-include=/usr/share/doc/*/copyright',
          'bookworm',
          part,
        ],
        { deadlineMs: BUILD_DEADLINE_MS },
      )
      renameSync(part, archive)
    } finally {
      rmSync(part, { force: true })
    }
  }
  if (!(await imageExists(name))) await podman(['import', archive, name], BUILD_DEADLINE_MS)
  return name
}

/** What Docker's `node:24-bookworm-slim` has where the Dockerfile looks for it: the Node.js that runs this, and npm. */
async function makeNodeImage(base: string): Promise<string> {
  const npm = findNpm()
  const { version: npmVersion } = JSON.parse(readFileSync(join(npm, 'package.json'), 'utf8')) as {
    version: string
  }
  const name = `${REPOSITORY}/node:${process.version}-npm${npmVersion}`
  if (await imageExists(name)) return name
  const folder = mkdtempSync(join(containersFolder(), 'tmp', 'node-'))
  try {
    copyFileSync(process.execPath, join(folder, 'node'))
    const license = join(dirname(process.execPath), '..', 'LICENSE')
    if (existsSync(license)) copyFileSync(license, join(folder, 'LICENSE'))
    else writeFileSync(join(folder, 'LICENSE'), 'See https://github.com/nodejs/node/blob/main/LICENSE\n')
    cpSync(npm, join(folder, 'npm'), { recursive: true })
    writeFileSync(
      join(folder, 'Containerfile'),
      `FROM ${base}
COPY node /usr/local/bin/node
COPY LICENSE /usr/local/LICENSE
COPY npm /usr/local/lib/node_modules/npm
RUN ["ln", "-s", "/usr/local/lib/node_modules/npm/bin/npm-cli.js", "/usr/local/bin/npm"]
`,
    )
    await runChecked('buildah', ['bud', '--runtime', 'runc', '--format', 'docker', '--tag', name, folder], {
      env: containerEnvironment(),
      deadlineMs: BUILD_DEADLINE_MS,
    })
  } finally {
    rmSync(folder, { recursive: true })
  }
  return name
}

/** The folder of this machine's npm: of the one that runs this, else of the first on the path. */
function findNpm(): string {
  const commands = (process.env['PATH'] ?? '').split(delimiter).map((folder) => join(folder, 'npm'))
  for (const command of [process.env['npm_execpath'] ?? '', ...commands]) {
    if (!existsSync(command)) continue
    const script = realpathSync(command)
    if (script.endsWith('npm-cli.js')) return resolve(dirname(script), '..')
  }
  throw new Error('npm is not on this machine: nodejs.org brings it along with Node.js')
}

/** This machine's way to its registry, as a user would pass it to the build: registry, proxies, authorities. */
async function writeNpmSettings(): Promise<string> {
  const list = await runChecked('npm', ['config', 'list', '--json'], { cwd: '/' })
  const config = JSON.parse(list) as Readonly<Record<string, unknown>>
  const lines = ['registry', 'proxy', 'https-proxy', 'noproxy'].flatMap((key) => {
    const value = config[key]
    return typeof value === 'string' && value !== '' ? [`${key}=${value}`] : []
  })
  const authorities = config['cafile'] ?? process.env['NODE_EXTRA_CA_CERTS']
  if (typeof authorities === 'string' && authorities !== '') {
    const pem = readFileSync(authorities, 'utf8')
    for (const [certificate] of pem.matchAll(/-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----/gs)) {
      lines.push(`ca[]="${certificate.replaceAll('\n', String.raw`\n`)}"`)
    }
  }
  const path = join(containersFolder(), 'tmp', `npmrc-${process.pid}`)
  writeFileSync(path, `${lines.join('\n')}\n`, { mode: 0o600 })
  return path
}

/** A copy of what git knows of this checkout, and a hash of all of it that can get into the image. */
async function copyCheckout(): Promise<{ readonly folder: string; readonly hash: string }> {
  const { code, out, err } = await run(
    'git',
    ['ls-files', '-z', '--cached', '--others', '--exclude-standard'],
    { cwd: CHECKOUT },
  )
  if (code !== 0) throw new Error(`cannot list the files of the checkout: ${err}`)
  const paths = out.split('\0').filter((path) => path !== '' && existsSync(join(CHECKOUT, path)))
  containerEnvironment()
  const folder = mkdtempSync(join(containersFolder(), 'tmp', 'checkout-'))
  const hash = createHash('sha256').update(process.version)
  for (const path of paths.sort()) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    copyFileSync(join(CHECKOUT, path), join(folder, path))
    if (!/^(?:src|tools)\/|^[^/]+$/.test(path)) continue
    hash
      .update(`${path}\0`)
      .update(readFileSync(join(CHECKOUT, path)))
      .update('\0')
  }
  return { folder, hash: hash.digest('hex') }
}
