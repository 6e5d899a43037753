/** Keys that an object within a JSON text has more than once. `JSON.parse` takes the last of them and says nothing. */
export function repeatedKeys(json: string): string[] {
  const open: Set<string>[] = []
  const repeated: string[] = []
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"(?:\s*:)?|[{}[\]]/g)) {
    if (token === '{' || token === '[') open.push(new Set())
    else if (token === '}' || token === ']') open.pop()
    else if (token.endsWith(':')) {
      const key = JSON.parse(token.slice(0, -1)) as string
      const keys = open.at(-1)
      if (keys?.has(key) === true) repeated.push(key)
      keys?.add(key)
    }
  }
  return repeated
}
