import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { CLIENT_SETTINGS } from '../../src/config/client-settings.ts'
import { describeConfig, renderConfig } from '../../src/config/describe.ts'
import { loadCommandConfig, loadOptions, loadServeConfig } from '../../src/config/load.ts'
import { SERVE_SETTINGS } from '../../src/config/serve-settings.ts'
import { fileKeyOf, isSettableIn, variableOf, type SettingTable } from '../../src/config/setting.ts'

const folder = mkdtempSync(join(tmpdir(), 'ringman-secrets-'))
afterAll(() => {
  rmSync(folder, { recursive: true })
})

const secrets = fc.string({
  unit: fc.constantFrom(...'ABCDEFGHJKLMNPQRSTUVWXYZ23456789!$%&*+-_~'.split('')),
  minLength: 8,
  maxLength: 24,
})
/** Where a secret may stand in what somebody gives. */
const forms: readonly ((secret: string) => string)[] = [
  (secret) => `http://user:${secret}@host:1`,
  (secret) => `http://host:1/?token=${secret}`,
  (secret) => `user:${secret}@host`,
  (secret) => `http://${secret}@host:1,http://host:2`,
  (secret) => `dns:user:${secret}@host:1:2`,
]

/** Everything that a loader says: its refusal, or what `--print-config` shows. */
function allSaid(table: SettingTable, load: () => Parameters<typeof describeConfig>[1]): string {
  try {
    const loaded = load()
    return JSON.stringify(describeConfig(table, loaded)) + renderConfig(table, loaded)
  } catch (error) {
    const { message, detail } = error as { message: string; detail: unknown }
    return message + JSON.stringify(detail)
  }
}

/** Every way in which a member's setting can be given. */
const WAYS: Readonly<Record<string, (property: string, value: string) => string>> = {
  flag: (property, value) =>
    allSaid(SERVE_SETTINGS, () => loadServeConfig({ values: { [property]: value }, unknown: [] }, {})),
  variable: (property, value) =>
    allSaid(SERVE_SETTINGS, () =>
      loadServeConfig({ values: {}, unknown: [] }, { [variableOf(property)]: value }),
    ),
  file: (property, value) => {
    const path = join(folder, 'config.json')
    writeFileSync(path, JSON.stringify({ [fileKeyOf(property)]: value }))
    return allSaid(SERVE_SETTINGS, () => loadServeConfig({ values: { config: path }, unknown: [] }, {}))
  },
  option: (property, value) =>
    allSaid(SERVE_SETTINGS, () => loadOptions(SERVE_SETTINGS, { [property]: value }, () => [])),
}

/** Free text, which is what it is: nothing in it can be told to be a secret. */
const FREE_TEXT = new Set([
  'name',
  'label',
  'clusterName',
  'zone',
  'sidecarService',
  'httpHost',
  'tokenFile',
  'keyringFile',
  'labelFile',
  'kubernetesKubeconfig',
  'config',
])

test.each(Object.entries(WAYS))('no setting shows a secret that is given by %s', (place, say) => {
  for (const [property, setting] of Object.entries(SERVE_SETTINGS)) {
    if (FREE_TEXT.has(property)) continue
    if (place !== 'option' && !isSettableIn(setting, place as 'flag')) continue
    fc.assert(
      fc.property(secrets, fc.constantFrom(...forms), (secret, form) => {
        expect(say(property, form(secret))).not.toContain(secret.slice(0, 6))
      }),
      { numRuns: 5 },
    )
  }
})

test('nor do the settings of the commands', () => {
  fc.assert(
    fc.property(secrets, fc.constantFrom(...forms), (secret, form) => {
      const given = { values: { url: form(secret) }, unknown: [] }
      expect(allSaid(CLIENT_SETTINGS, () => loadCommandConfig(CLIENT_SETTINGS, given, {}))).not.toContain(
        secret.slice(0, 6),
      )
    }),
  )
})

test.each([16, 24, 32])('a key of %d bytes in place of the keyring file is not shown', (size) => {
  for (const say of Object.values(WAYS)) {
    const key = Buffer.from(Array.from({ length: size }, (_, i) => (i * 37 + 11) % 256)).toString('base64')
    const said = say('keyringFile', key)
    expect(said).toContain('looks like a key')
    expect(said).not.toContain(key.slice(0, 6))
  }
})

test('an unknown variable, flag or key of the file is named without its value', () => {
  const path = join(folder, 'unknown.json')
  writeFileSync(path, JSON.stringify({ sidecarToken: 'hunter-23' }))
  const given = { values: { config: path }, unknown: ['--sidecar-token=hunter-23'] }
  const said = allSaid(SERVE_SETTINGS, () => loadServeConfig(given, { RINGMAN_SIDECAR_TOKEN: 'hunter-23' }))
  expect(said).toContain('RINGMAN_SIDECAR_TOKEN')
  expect(said).toContain('--sidecar-token')
  expect(said).not.toContain('hunter')
})

test.each([
  ['broken.json', '{"sidecarUrl": "http://user:hunter-23@host" x}'],
  ['cut.json', '{"sidecarUrl": "http://user:hunter-23'],
  ['broken.yaml', 'sidecarUrl: "http://user:hunter-23@host" x: [hunter-23'],
  ['tab.yaml', 'a: &hunter-23 {\n\thunter-23: *hunter-24'],
  ['text.yaml', 'hunter-23'],
])('%s, a file that cannot be read, is not quoted', (name, text) => {
  const path = join(folder, name)
  writeFileSync(path, text)
  const said = allSaid(SERVE_SETTINGS, () => loadServeConfig({ values: { config: path }, unknown: [] }, {}))
  expect(said).toContain(name)
  expect(said).not.toContain('hunter')
})
