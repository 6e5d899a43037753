import type { Clock } from '../../clock.ts'
import type { Logger } from '../../logger.ts'
import { FollowedFile } from './followed-file.ts'
import { keyId, parseKeyring, type Keyring } from './keyring.ts'
import { parseLabels } from './labels.ts'

export interface GossipFileOptions<T> {
  readonly path: string
  readonly clock: Clock
  readonly logger: Logger
  /** Called with what the file holds, each time after the first. */
  readonly onChange: (content: T) => void
  readonly pollMs?: number | undefined
}

/** Follows a file of gossip keys. */
export function followKeyring(options: GossipFileOptions<Keyring>): FollowedFile<Keyring> {
  const { path, logger, onChange } = options
  return new FollowedFile({
    ...options,
    what: 'keyring file',
    parse: parseKeyring,
    onChange: (keyring) => {
      logger.info({ event: 'keyring.changed', path, keys: keyring.map(keyId) }, 'Took up the changed keyring')
      onChange(keyring)
    },
    onRefused: (reason) => {
      logger.warn(
        { event: 'keyring.refused', path, reason },
        'Failed to read the keyring file; the keys in use stay',
      )
    },
  })
}

/** Follows a file of labels. */
export function followLabels(options: GossipFileOptions<readonly string[]>): FollowedFile<readonly string[]> {
  const { path, logger, onChange } = options
  return new FollowedFile({
    ...options,
    what: 'label file',
    parse: parseLabels,
    onChange: (labels) => {
      logger.info({ event: 'labels.changed', path, labels }, 'Took up the changed labels')
      onChange(labels)
    },
    onRefused: (reason) => {
      logger.warn(
        { event: 'labels.refused', path, reason },
        'Failed to read the label file; the labels in use stay',
      )
    },
  })
}
