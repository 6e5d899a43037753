import { totalmem } from 'node:os'

/** Bytes that this process may take: the limit of its control group where there is one (a container's), else what the machine has. */
export function memoryLimitBytes(): number {
  // Without a limit it is 0, or more than any machine has.
  const limitBytes = process.constrainedMemory()
  return limitBytes > 0 ? Math.min(limitBytes, totalmem()) : totalmem()
}
