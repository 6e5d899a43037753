import { CLIENT_SETTINGS } from '../../src/config/client-settings.ts'
import { SERVE_SETTINGS } from '../../src/config/serve-settings.ts'
import {
  fileKeyOf,
  flagOf,
  isSettableIn,
  listChoice,
  type Setting,
  type SettingTable,
} from '../../src/config/setting.ts'

const INTRODUCTION = `# Configuration

Every setting of \`ringman serve\` has a flag, an environment variable and a key in the configuration file. This page
is made from their table (\`src/config/\`).

- **Names**: the variable is the flag in capitals, \`RINGMAN_GOSSIP_PORT\` for \`--gossip-port\`; the key of the file stands
  behind the flag below, unless a file cannot hold the setting.
- **Which one counts**: flags before variables before the file before defaults.
- **The file** is YAML, or JSON where its name ends in \`.json\`: one flat mapping. \`--config\` or \`RINGMAN_CONFIG\`
  names it. It is a plain file of at most 4 MiB, no pipe.
- **Nothing is guessed**: unknown flags, unknown \`RINGMAN_…\` variables, unknown keys of the file and bad values are
  refused at start, all of them in one message; settings that contradict each other are told once every value is good.
  The exit code is then 2. A bad value is refused even where a stronger
  place sets another one. Also refused is a setting for another source than the one chosen, one that has no effect
  because another setting that it needs is not set, and one that excludes another one that is set. A default of the tables below
  may be written out anywhere.
- **Empty means not set**: an empty variable, and a key of the file without a value.
- **Durations** have a unit, \`500ms\`, \`1.5s\`, \`2m\`, \`1h\`; only \`0\` may go without.
- **Lists** are separated by commas; a file may hold a real list. A flag for a list may be repeated.
- \`ringman serve --print-config\` prints every value and where it came from, as YAML that can be used as a file; with
  \`--json\` as JSON for programs, which is no such file. It starts nothing. The file has the \`name\` of the machine that printed it: take that out
  where several members use it.

\`\`\`yaml
# /etc/ringman.yaml
seeds:
  - dns:ringman-gossip.default.svc
minMembers: 3
drain: 10s
\`\`\`

## Beside a Kubernetes Service called \`ringman\`

Kubernetes tells pods of each Service in their namespace by environment variables, and the variables of a Service \`ringman\`
begin with \`RINGMAN_\` as well: \`RINGMAN_SERVICE_HOST\`, \`RINGMAN_PORT=tcp://10.0.0.1:8080\`,
\`RINGMAN_PORT_8080_TCP_ADDR\` and so on. They are recognised by name and form and ignored, and so are the variables of Services
called \`ringman-…\`, even \`RINGMAN_HTTP_PORT=tcp://…\`.

Two of them have the name and the form of a setting: \`RINGMAN_SERVICE_PORT\`, and \`RINGMAN_SIDECAR_SERVICE_PORT\` of a
Service \`ringman-sidecar\`. Where \`RINGMAN_SERVICE_HOST\` is there too and \`RINGMAN_PORT\` ends in the same port (or those
of \`RINGMAN_SIDECAR\`), it is taken for Kubernetes's and **ignored, with a warning in the log**. To be sure, set \`enableServiceLinks: false\` in the pod, or give the service port by flag or file.
`

/** The text of `docs/configuration.md`. */
export function documentConfiguration(): string {
  return [
    INTRODUCTION,
    ...documentTable(SERVE_SETTINGS, '##'),
    `## Commands that ask a member

\`get\`, \`nodes\`, \`ring\`, \`rings\`, \`watch\` and \`plan\` take these as flags or variables; they read no file.
`,
    ...documentTable(CLIENT_SETTINGS, '###'),
  ].join('\n')
}

function documentTable(table: SettingTable, heading: string): string[] {
  const properties = Object.keys(table)
  const categories = new Set(Object.values(table).map(({ category }) => category))
  return [...categories].flatMap((category) => [
    `${heading} ${category}\n`,
    ...properties.flatMap((property) => {
      const setting = table[property]
      return setting?.category === category ? documentSetting(property, setting) : []
    }),
    '',
  ])
}

function documentSetting(property: string, setting: Setting): string {
  const { type, help, sources, needs, computedDefault } = setting
  const fallback =
    computedDefault?.words ??
    (setting.default === undefined ? 'none' : setting.default === '' ? 'empty' : `\`${setting.default}\``)
  const key = isSettableIn(setting, 'file') ? `\`${fileKeyOf(property)}\`` : ''
  // Some say in their own words what holds without them.
  const without = help.includes('(default') ? '' : `default ${fallback}`
  const only =
    sources === undefined ? '' : ` Only for the source ${listChoice(sources.map((one) => `\`${one}\``))}.`
  const beside = needs === undefined ? '' : ` Only with \`${flagOf(needs)}\`.`
  const inBrackets = [key, without].filter((part) => part !== '').join(', ')
  const brackets = inBrackets === '' ? '' : ` (${inBrackets})`
  return `- **\`${flagOf(property)}\`**${brackets}: ${help}. Allowed: ${type.allowed}.${only}${beside}`
}
