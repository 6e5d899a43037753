import type { Logger } from '../../logger.ts'
import { FollowedFile, type FollowedFileOptions } from './followed-file.ts'
import { keyId, parseKeyring, type Keyring } from './keyring.ts'
import { parseLabels } from './labels.ts'

export type GossipFileOptions<T> = Omit<FollowedFileOptions<T>, 'what' | 'parse' | 'onRefused'> & {
  readonly logger: Logger
}

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
