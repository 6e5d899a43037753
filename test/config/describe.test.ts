import { parse } from 'yaml'
import { describe, expect, test } from 'vitest'
import { describeConfig, renderConfig } from '../../src/config/describe.ts'
import { documentConfiguration } from '../../tools/docs/configuration.ts'
import { loadServeConfig } from '../../src/config/load.ts'
import { GOSSIP_SETTINGS } from '../../src/config/gossip-settings.ts'
import { PRESETS, type ProtocolSettings } from '../../src/membership/memberlist/protocol/settings.ts'
import { SERVE_SETTINGS } from '../../src/config/serve-settings.ts'
import { fileKeyOf, type Setting } from '../../src/config/setting.ts'

const flags = {
  source: 'static',
  staticMembers: '10.0.0.1:1,[::1]:2=3',
  name: 'yes',
  drainMs: '90s',
  maxKeyBytes: '2048',
}
const loaded = loadServeConfig({ values: flags, unknown: [] }, { RINGMAN_HTTP_PORT: '9000' })

describe('renderConfig', () => {
  test('is a configuration file that means the same', () => {
    expect(parse(renderConfig(SERVE_SETTINGS, loaded))).toMatchObject({
      source: 'static',
      staticMembers: ['10.0.0.1:1', '[::1]:2=3'],
      name: 'yes',
      drain: '90s',
      maxKey: '2KiB',
      httpPort: 9000,
      adminPort: 8081,
    })
  })

  test('says of every setting where it came from', () => {
    const lines = renderConfig(SERVE_SETTINGS, loaded).trimEnd().split('\n')
    expect(lines).toHaveLength(Object.keys(SERVE_SETTINGS).length)
    const origin = (key: string) =>
      lines
        .find((line) => line.replace(/^# /, '').startsWith(`${key}:`))
        ?.split('  # ')
        .at(-1)
    expect(origin('drain')).toBe('flag --drain')
    expect(origin('httpPort')).toBe('variable RINGMAN_HTTP_PORT')
    expect(origin('adminPort')).toBe('default')
    expect(origin('advertise')).toBe('not set')
  })
})

test('describeConfig gives plain values with their origins', () => {
  const described = describeConfig(SERVE_SETTINGS, loaded)
  expect(described['drain']).toEqual({ value: '90s', origin: { kind: 'flag', name: '--drain' } })
  expect(described['advertise']).toEqual({ value: null, origin: { kind: 'default' } })
  expect(JSON.parse(JSON.stringify(described))).toEqual(described)
})

test('of the timing, the help says what the presets have', () => {
  const timing = Object.entries<Setting>(GOSSIP_SETTINGS).filter(
    ([, { category }]) => category === 'Gossip timing',
  )
  expect(timing.length).toBeGreaterThan(10)
  for (const [property, { help, type }] of timing) {
    const [lan, wan, local] = [PRESETS.lan, PRESETS.wan, PRESETS.local].map((preset) =>
      String(type.encode(preset[property as keyof ProtocolSettings])),
    )
    const words = lan === wan && wan === local ? lan : `lan ${lan}, wan ${wan}, local ${local}`
    expect(help, property).toMatch(new RegExp(`\\(default: ${words}\\)$`))
  }
})

describe('docs/configuration.md', () => {
  test('is what the table says; `vitest run test/config -u` writes it', async () => {
    await expect(documentConfiguration()).toMatchFileSnapshot('../../docs/configuration.md')
  })

  test('names every key', () => {
    const text = documentConfiguration()
    for (const property of Object.keys(SERVE_SETTINGS)) {
      if (property !== 'config') expect(text).toContain(`(\`${fileKeyOf(property)}\``)
    }
  })
})
