import { messageOf } from '../errors.ts'
import { createRequire } from 'node:module'
import { extname } from 'node:path'
import type * as Yaml from 'yaml'
import { isObject } from '../is-object.ts'
import { MAX_CONFIG_BYTES, readSmallFileSync } from '../small-file.ts'
import { unknownMessage } from '../unknown-name.ts'
import type { ConfigProblem } from './problem.ts'
import type { Given, Layer } from './resolve.ts'
import { fileKeyOf, isSettableIn, type SettingTable } from './setting.ts'

/**
 * Reads a configuration file: one flat mapping from keys to values, as JSON where the name ends in `.json`, else as
 * YAML. A key without a value counts as not set; an unknown or repeated one is a problem, as is a file that
 * cannot be read.
 */
export function readConfigFile(
  table: SettingTable,
  path: string,
): { readonly layer: Layer; readonly problems: readonly ConfigProblem[] } {
  const layer = new Map<string, Given>()
  const problems: ConfigProblem[] = []
  const report = (key: string, message: string, place = key) => {
    problems.push({ key, origin: { kind: 'file', path, key: place }, message })
    return { layer, problems }
  }
  let content: unknown
  try {
    content = parse(path, readSmallFileSync(path, MAX_CONFIG_BYTES))
  } catch (error) {
    return report('config', whyUnreadable(error), 'configuration')
  }
  if (content === undefined || content === null) return { layer, problems }
  if (!isObject(content)) {
    return report('config', 'a mapping from keys to values is allowed, nothing else', 'configuration')
  }
  const wanted = new Map(
    Object.entries(table)
      .filter(([, setting]) => isSettableIn(setting, 'file'))
      .map(([property]) => [fileKeyOf(property), property]),
  )
  for (const [key, value] of Object.entries(content)) {
    const property = wanted.get(key)
    if (property === undefined) report(key, unknownMessage('key', key, wanted.keys()))
    else if (value !== null) layer.set(property, { value, origin: { kind: 'file', path, key } })
  }
  return { layer, problems }
}

/** Why a file cannot be read, without saying what is in it: it may hold secrets. */
function whyUnreadable(error: unknown): string {
  if (error instanceof Error && error.name === 'YAMLParseError') {
    const { linePos, code } = error as Yaml.YAMLParseError
    const { line, col } = linePos?.[0] ?? { line: 0, col: 0 }
    return `it is not YAML at line ${line}, column ${col}: ${code.toLowerCase().replaceAll('_', ' ')}`
  }
  if (error instanceof SyntaxError) {
    const [position] = /position \d+|line \d+ column \d+/.exec(error.message) ?? []
    return position === undefined ? 'it is not JSON' : `it is not JSON at ${position}`
  }
  return messageOf(error)
}

/** @throws {Error} for text that is not in the form. */
function parse(path: string, text: string): unknown {
  if (extname(path).toLowerCase() === '.json') return JSON.parse(text)
  // Most members have no such file.
  const { parseDocument } = createRequire(import.meta.url)('yaml') as typeof Yaml
  const document = parseDocument(text)
  const [error] = document.errors
  if (error !== undefined) throw error
  return document.toJS() as unknown
}
