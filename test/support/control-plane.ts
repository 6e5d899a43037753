import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { cached, goSourceFingerprint, runGo } from './go-module.ts'
import { cacheFolder } from './cache-folder.ts'

/** The Go module of the program: its `go.mod` says which Kubernetes and which etcd. */
const SOURCE = resolve(import.meta.dirname, 'kube-apiserver')
/** Two thousand five hundred packages; minutes on two cores when nothing is in Go's build cache. */
const BUILD_DEADLINE_MS = 1_700_000

/** The Kubernetes version that the control plane is built from, like `v1.35.4`. */
export async function kubernetesVersion(): Promise<string> {
  const found = /^\s*k8s\.io\/kubernetes (v\S+)/m.exec(await readFile(join(SOURCE, 'go.mod'), 'utf8'))
  if (found?.[1] === undefined) throw new Error('the go.mod of the control plane names no k8s.io/kubernetes')
  return found[1]
}

/**
 * The program with etcd, kube-apiserver and kube-controller-manager in it, built from their Go modules the first time.
 * It is kept in the cache folder, under its version.
 *
 * @returns Its path; the first argument says which of the three to be.
 * @throws {Error} that says what to install when there is no Go, or what the compiler said.
 */
export async function buildControlPlane(): Promise<string> {
  const version = await kubernetesVersion()
  const fingerprint = await goSourceFingerprint(SOURCE)
  const path = join(cacheFolder(), `control-plane-${version}-${fingerprint}`)
  return cached(path, async (executable) => {
    const [major = '', minor = ''] = version.slice(1).split('.')
    const stamps = { gitVersion: version, gitMajor: major, gitMinor: minor }
    // A module's sources do not know their own version: releases get it from the linker, and so does this one.
    const linkerFlags = Object.entries(stamps).flatMap(([name, value]) =>
      ['k8s.io/component-base/version', 'k8s.io/client-go/pkg/version'].map(
        (part) => `-X=${part}.${name}=${value}`,
      ),
    )
    await runGo(
      SOURCE,
      ['build', '-ldflags', ['-s', '-w', ...linkerFlags].join(' '), '-o', executable, '.'],
      BUILD_DEADLINE_MS,
    )
  })
}

// `node test/support/control-plane.ts` builds it ahead of the tests.
if (process.argv[1] === import.meta.filename) process.stdout.write(`${await buildControlPlane()}\n`)
