/** What is wrong with the Node.js of this process; undefined where it is new enough. */
export function problemOfNode(): string | undefined {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major > 22 || (major === 22 && minor >= 19)) return undefined
  return `Node.js 22.19 or newer is needed, this is ${process.versions.node}`
}
