/**
 * Chance that repeats: numbers in `[0, 1)` from a 32-bit seed (xoshiro128**, seeded by splitmix32).
 *
 * @see Blackman, Vigna: Scrambled linear pseudorandom number generators
 */
export function seededRandom(seed: number): () => number {
  let mixed = seed >>> 0
  const word = () => {
    mixed = (mixed + 0x9e3779b9) >>> 0
    let z = mixed ^ (mixed >>> 16)
    z = Math.imul(z, 0x21f0aaad)
    z ^= z >>> 15
    z = Math.imul(z, 0x735a2d97)
    return (z ^ (z >>> 15)) >>> 0
  }
  let [a, b, c, d] = [word(), word(), word(), word()]
  const rotate = (x: number, k: number) => ((x << k) | (x >>> (32 - k))) >>> 0
  return () => {
    const result = Math.imul(rotate(Math.imul(b, 5) >>> 0, 7), 9) >>> 0
    const t = (b << 9) >>> 0
    c = (c ^ a) >>> 0
    d = (d ^ b) >>> 0
    b = (b ^ c) >>> 0
    a = (a ^ d) >>> 0
    c = (c ^ t) >>> 0
    d = rotate(d, 11)
    return result / 2 ** 32
  }
}

/**
 * A test's seed: `own`, moved by `SIM_SEED` from the environment, so that the suite runs with other chance each time
 * that one is given. Without it every run is the same.
 */
export function simSeed(own: number): number {
  return own + 10_007 * Number(process.env['SIM_SEED'] ?? 0)
}
