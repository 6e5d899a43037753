import { execFile } from 'node:child_process'
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { MANIFESTS_FOLDER, readManifests, renderManifests } from '../../../tools/chart/manifests.ts'
import { at, only, parseManifest } from '../../support/chart.ts'
import { kubectlPath } from '../../support/kubernetes-tools.ts'

const run = promisify(execFile)

async function kustomize(folder: string) {
  const { stdout } = await run(await kubectlPath(), ['kustomize', folder])
  return parseManifest(stdout)
}

test('manifests/ringman.yaml is what the chart makes; `node tools/chart/manifests.ts` writes it', async () => {
  expect(await readManifests()).toBe(await renderManifests())
})

test('it names no namespace and holds no secret', async () => {
  const objects = parseManifest(await readManifests())
  expect(objects.map(({ kind }) => kind)).toEqual([
    'ServiceAccount',
    'ConfigMap',
    'Service',
    'Service',
    'NetworkPolicy',
    'PodDisruptionBudget',
    'StatefulSet',
  ])
  for (const { metadata } of objects) expect(metadata.namespace).toBeUndefined()
  expect(JSON.stringify(objects)).not.toMatch(/helm/i)
  const workload = only(objects, 'StatefulSet')
  expect(at(workload, 'spec.template.spec.volumes.1.secret.secretName')).toBe('ringman-keyring')
})

test('kubectl builds the kustomization', async () => {
  const built = await kustomize(MANIFESTS_FOLDER)
  expect(built).toHaveLength(parseManifest(await readManifests()).length)
  expect(at(only(built, 'StatefulSet'), 'spec.template.spec.containers.0.image')).toBe('ringman:0.1.0')
})

test('the overlay of the README builds: namespace, image, number of pods, Secret', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ringman-overlay-'))
  try {
    const readme = await readFile(join(MANIFESTS_FOLDER, 'README.md'), 'utf8')
    const overlay = /```yaml\n# kustomization.yaml\n([\s\S]+?)```/.exec(readme)?.[1]
    expect(overlay).toContain('manifests?ref=')
    // The repository itself stands in for its address.
    await copyFile(join(MANIFESTS_FOLDER, 'ringman.yaml'), join(folder, 'ringman.yaml'))
    await writeFile(join(folder, 'keyring'), 'a key')
    await writeFile(
      join(folder, 'kustomization.yaml'),
      (overlay ?? '').replace(/https:\S+manifests\?ref=\S+/, 'ringman.yaml'),
    )
    const built = await kustomize(folder)
    for (const { metadata, kind } of built) expect(metadata.namespace, kind).toBe('rings')
    const workload = only(built, 'StatefulSet')
    expect(workload['spec']).toMatchObject({
      replicas: 5,
      template: { spec: { containers: [{ image: 'registry.example.com/ringman:0.1.0' }] } },
    })
    expect(only(built, 'Secret').metadata.name).toBe(
      at(workload, 'spec.template.spec.volumes.1.secret.secretName'),
    )
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
