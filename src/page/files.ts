import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { makeAnswer, type Answer } from '../http/respond.ts'
import type { Files } from './view/document.ts'

/** Where the files are, below the page. */
export const FILES_PATH = 'assets'

/** In a checkout browsers get the modules one by one, as Node.js does; the package has them in one file. */
const IS_CHECKOUT = import.meta.url.endsWith('.ts')

/** The folder `src` of a checkout, or that of the package with what browsers load. */
const ROOT = new URL(IS_CHECKOUT ? '../' : '../browser/', import.meta.url)

const SCRIPT = `page/browser/app.${IS_CHECKOUT ? 'ts' : 'js'}`

/** What a module imports, and what that imports. */
function modulesOf(name: string, known = new Set<string>()): Set<string> {
  const source = readFileSync(new URL(name, ROOT), 'utf8')
  for (const [, path = ''] of source.matchAll(/^(?:import|export) (?!type)[^']*from '([^']+)'/gm)) {
    const module = new URL(path, new URL(name, ROOT)).href.slice(ROOT.href.length)
    if (!known.has(module)) modulesOf(module, known.add(module))
  }
  return known
}

const MODULES = IS_CHECKOUT ? [...modulesOf(SCRIPT)] : []

const STYLE = 'page/page.css'
const ICON = 'page/icon.svg'

const TYPES: Readonly<Record<string, string>> = {
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
  js: 'text/javascript; charset=utf-8',
  ts: 'text/javascript; charset=utf-8',
}

/** One file of the page. */
export interface PageFile {
  readonly etag: string
  readonly answer: Answer
}

/** The names of the page's files, such as `page/page.css`. */
export const FILE_NAMES: readonly string[] = [STYLE, ICON, SCRIPT, ...MODULES]

/** The URLs of the files as the document names them. */
export function fileUrls(): Files {
  const url = (name: string) => `${FILES_PATH}/${name}`
  return { style: url(STYLE), icon: url(ICON), script: url(SCRIPT), modules: MODULES.map(url) }
}

/** Reads one of {@link FILE_NAMES}. */
export function readPageFile(name: string): PageFile {
  const source = readFileSync(new URL(name, ROOT), 'utf8')
  const text = name.endsWith('.ts') ? shortened(withoutTypes(source)) : source
  // Answers are byte text.
  const body = Buffer.from(text, 'utf8').toString('latin1')
  const etag = `"${createHash('sha256').update(text).digest('base64url').slice(0, 22)}"`
  const type = TYPES[name.split('.').at(-1)!]!
  const headers = ['Content-Type', type, 'ETag', etag, 'Cache-Control', 'no-cache']
  return { etag, answer: makeAnswer(200, [...headers, ...FILE_HEADERS], body) }
}

const FILE_HEADERS = ['X-Content-Type-Options', 'nosniff', 'Cross-Origin-Resource-Policy', 'same-origin']

/** Node.js strips the types of a checkout's modules when it loads them; the browser gets them in the same way. */
function withoutTypes(source: string): string {
  const emitWarning = process.emitWarning.bind(process)
  // It would warn that the function is experimental, in every checkout, to no use.
  process.emitWarning = () => {}
  try {
    return stripTypeScriptTypes(source)
  } finally {
    process.emitWarning = emitWarning
  }
}

/**
 * Comments that stand alone, and the blanks that types leave behind, are a quarter of the modules. The numbers of lines
 * stay, for whoever looks for a fault.
 */
function shortened(source: string): string {
  return source
    .replace(/^ *\/\*\*[^]*?\*\/$/gm, (comment) => comment.replace(/.+/g, ''))
    .replace(/^ *\/\/.*$/gm, '')
    .replace(/ +$/gm, '')
    .replace(/(?<=\S) {2,}/g, ' ')
}
