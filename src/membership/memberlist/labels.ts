import { configInvalid } from '../../errors.ts'
import { isWord } from '../member.ts'
import { MAX_LABEL_BYTES } from './wire/limits.ts'

/** Labels that are accepted at once: a change needs two, and each one more lets in more that is not meant. */
export const MAX_LABELS = 4

/**
 * Parses the content of a label file: a JSON array of labels, of which the first is sent and all are accepted. An empty
 * text stands for members without a label.
 *
 * @returns At least one, each once.
 * @throws {RingmanError} `CONFIG_INVALID`.
 */
export function parseLabels(text: string): readonly string[] {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // Told below.
  }
  if (!Array.isArray(value))
    throw configInvalid('it must be a JSON array of texts, such as ["prod/new", "prod/old"]')
  const labels = new Set<string>()
  for (const [index, entry] of value.entries()) {
    if (
      typeof entry !== 'string' ||
      (entry !== '' && !isWord(entry, MAX_LABEL_BYTES)) ||
      Buffer.byteLength(entry) > MAX_LABEL_BYTES
    ) {
      throw configInvalid(
        `entry ${index + 1} is no label: printable characters without white space are allowed, at most ${MAX_LABEL_BYTES} bytes of UTF-8`,
      )
    }
    labels.add(entry)
  }
  if (labels.size === 0) throw configInvalid('it holds no label; [""] is for none')
  if (labels.size > MAX_LABELS)
    throw configInvalid(`it holds ${labels.size} labels; at most ${MAX_LABELS} are allowed`)
  return [...labels]
}

/** What is sent and what is accepted, or would be, for people. */
export function describeLabels([sent = '', ...others]: readonly string[], would = false): string {
  const also = others.length === 0 ? 'no other' : `${others.map(quote).join(', ')} as well`
  return would
    ? `It would send ${quote(sent)} and accept ${also}`
    : `It sends ${quote(sent)} and accepts ${also}`
}

function quote(label: string): string {
  return label === '' ? 'no label' : `the label ${JSON.stringify(label)}`
}
