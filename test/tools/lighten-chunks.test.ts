import { SourceMap } from 'node:module'
import { runInNewContext } from 'node:vm'
import { describe, expect, test } from 'vitest'
import { lightenChunk } from '../../tools/lighten-chunks.ts'

const lightened = (code: string) => lightenChunk({ code, mappings: '' }).code

describe('imports', () => {
  test.each([
    ['import{a,b as c}from"node:fs";x', 'const{a:a,b:c}=process.getBuiltinModule("node:fs");x'],
    ['import fs from "node:fs"\nx', 'const fs=process.getBuiltinModule("node:fs");\nx'],
    [
      'import fs,{ a } from "node:fs";x',
      'const fs=process.getBuiltinModule("node:fs");const{a:a}=process.getBuiltinModule("node:fs");x',
    ],
    [
      'import{stat as s}from"node:fs/promises";x',
      'const s=(...args)=>process.getBuiltinModule("node:fs/promises").stat(...args);x',
    ],
  ])('%s', (code, expected) => {
    expect(lightened(code)).toBe(expected)
  })

  test('of other modules, and those that are made when the program runs, stay', () => {
    const code = 'import{a}from"./a.js";import b from"koa";const c=await import("node:fs");'
    expect(lightened(code)).toBe(code)
  })

  test('give what they gave', async () => {
    const code = 'import p,{basename as b}from"node:path";import{readFile}from"node:fs/promises";'
    const module = `${lightened(code)}export{p,b,readFile}`
    const made = (await import(`data:text/javascript,${encodeURIComponent(module)}`)) as {
      readonly p: { readonly sep: string }
      readonly b: (path: string) => string
      readonly readFile: (path: string, encoding: string) => Promise<string>
    }
    expect([made.p.sep, made.b('/a/b')]).toEqual(['/', 'b'])
    expect(await made.readFile(import.meta.filename, 'utf8')).toContain('give what they gave')
  })
})

test('characters beyond ASCII are written as escapes, that mean the same in texts, patterns and templates', () => {
  const code = 'export const all=["…","✓😀",/é/.test("é"),/^[😀]$/u.test("😀"),`a${"…"}–`]'
  const light = lightened(code)
  expect(light).toMatch(/^[\0-\x7f]*$/)
  const evaluate = (text: string) => runInNewContext(text.slice(text.indexOf('['))) as unknown
  expect([...(evaluate(light) as string[])]).toEqual([...(evaluate(code) as string[])])
})

test('the source map still says where everything is from', () => {
  // The same names in three places, on two lines: each token has a segment.
  const code = 'import{a}from"node:fs";one("…");two("–");three()\nfour("é…");five()\nsix()'
  const names = ['one', 'two', 'three', 'four', 'five', 'six']
  const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
  const vlq = (number: number): string => {
    let left = number < 0 ? -2 * number + 1 : 2 * number
    let text = ''
    do {
      text += digits[(left & 31) | (left > 31 ? 32 : 0)]
      left >>= 5
    } while (left > 0)
    return text
  }
  let sourceLine = 0
  const mappings = code
    .split('\n')
    .map((line) => {
      let column = 0
      return names
        .filter((name) => line.includes(`${name}(`))
        .map((name) => {
          const at = line.indexOf(`${name}(`)
          const place = names.indexOf(name)
          const segment = vlq(at - column) + vlq(0) + vlq(place - sourceLine) + vlq(0)
          column = at
          sourceLine = place
          return segment
        })
        .join(',')
    })
    .join(';')
  const light = lightenChunk({ code, mappings })
  const map = new SourceMap({
    version: 3,
    file: 'a.js',
    sources: ['a.ts'],
    sourcesContent: [],
    names: [],
    sourceRoot: '',
    mappings: light.mappings,
  })
  light.code.split('\n').forEach((line, number) => {
    for (const [place, name] of names.entries()) {
      const at = line.indexOf(`${name}(`)
      if (at === -1) continue
      expect(map.findEntry(number, at)).toMatchObject({ generatedColumn: at, originalLine: place })
    }
  })
  expect(light.code).toContain('three()')
})
