import { parseSeed, type Seed } from '../../src/seeds/seed.ts'

/** The seeds of a comma list; none for an empty text. */
export function parseSeeds(list: string): Seed[] {
  return list === '' ? [] : list.split(',').map((text) => parseSeed(text))
}
