import { Session } from 'node:inspector'

interface Property {
  readonly name: string
  readonly value?: { readonly type: string; readonly className?: string; readonly objectId?: string }
}

/**
 * The sizes of all arrays, maps and sets that an object reaches by its fields, private ones too, by path. What lies in a
 * collection is not looked into, and each object counts once.
 */
export function collectionsOf(root: object): Map<string, number> {
  const session = new Session()
  session.connect()
  const call = (method: string, params: object): unknown => {
    let answer: unknown
    session.post(method, params, (error, result) => {
      if (error !== null) throw new Error(error.message)
      answer = result
    })
    return answer
  }
  const held = globalThis as { collectionsRoot?: { root: object; seen: WeakSet<object> } }
  held.collectionsRoot = { root, seen: new WeakSet() }
  const sizes = new Map<string, number>()
  const visit = (objectId: string, path: string) => {
    const { result } = call('Runtime.callFunctionOn', {
      objectId,
      returnByValue: true,
      functionDeclaration: `function () {
        const { seen } = globalThis.collectionsRoot
        if (seen.has(this) || ArrayBuffer.isView(this) || typeof this === 'function') return 'seen'
        seen.add(this)
        if (Array.isArray(this)) return this.reduce((n, item) => n + (Array.isArray(item) ? item.length : 1), 0)
        return this instanceof Map || this instanceof Set ? this.size : 'fields'
      }`,
    }) as { result: { value: number | string } }
    if (typeof result.value === 'number') sizes.set(path, result.value)
    if (result.value !== 'fields') return
    const { result: own, privateProperties = [] } = call('Runtime.getProperties', {
      objectId,
      ownProperties: true,
    }) as { result: Property[]; privateProperties?: Property[] }
    for (const { name, value } of [...own, ...privateProperties]) {
      if (name !== '__proto__' && value?.type === 'object' && value.objectId !== undefined)
        visit(value.objectId, path === '' ? name : `${path}.${name}`)
    }
  }
  try {
    const { result } = call('Runtime.evaluate', { expression: 'globalThis.collectionsRoot.root' }) as {
      result: { objectId: string }
    }
    visit(result.objectId, '')
  } finally {
    delete held.collectionsRoot
    session.disconnect()
  }
  return sizes
}
