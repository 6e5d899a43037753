/** Keys that no look-up takes, as programs in JavaScript may give them: neither text nor a `Uint8Array`. */
export const NO_KEYS = [
  42,
  {},
  undefined,
  null,
  new Uint16Array(1),
  new DataView(new ArrayBuffer(1)),
] as unknown[] as string[]
