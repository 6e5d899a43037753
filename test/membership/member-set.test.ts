import { describe, expect, test } from 'vitest'
import type { Member } from '../../src/membership/member.ts'
import { findByName, MemberSet } from '../../src/membership/member-set.ts'
import { silentLogger } from '../../src/logger.ts'
import { fakeMember } from '../support/fake-source.ts'

const members = (...names: string[]) => names.map((name) => fakeMember(name, '10.0.0.1'))
const names = (set: readonly Member[]) => set.map(({ name }) => name).join('')

describe('a member set', () => {
  test('is empty at first, then sorted and frozen', () => {
    const set = new MemberSet(silentLogger)
    expect(set.current).toEqual([])
    set.publish(members('b', 'a', 'B'))
    expect(names(set.current)).toBe('Bab')
    expect(Object.isFrozen(set.current)).toBe(true)
  })

  test('has its members found by their names', () => {
    const set = new MemberSet(silentLogger)
    expect(findByName(set.current, 'a')).toBeUndefined()
    set.publish(members('b', 'a', 'd', 'B', 'é'))
    for (const member of set.current) expect(findByName(set.current, member.name)).toBe(member)
    for (const name of ['', 'A', 'c', 'e', 'ê']) expect(findByName(set.current, name)).toBeUndefined()
  })

  test('does not follow what happens to the array that was published', () => {
    const set = new MemberSet(silentLogger)
    const given = members('a', 'b')
    set.publish(given)
    given.pop()
    expect(names(set.current)).toBe('ab')
  })

  test('publishes in order when a listener publishes, and to all before the next', () => {
    const set = new MemberSet(silentLogger)
    const heard: string[] = []
    set.subscribe((current) => {
      heard.push(`1${names(current)}`)
      if (names(current) === 'a') set.publish(members('b'))
    })
    set.subscribe((current) => heard.push(`2${names(current)}`))
    set.publish(members('a'))
    expect(heard).toEqual(['1a', '2a', '1b', '2b'])
  })

  test('does not call a listener that an earlier one unsubscribed, nor anyone after close', () => {
    const set = new MemberSet(silentLogger)
    const heard: string[] = []
    let unsubscribe = () => {}
    set.subscribe((current) => {
      heard.push(`1${names(current)}`)
      unsubscribe()
      if (names(current) === 'b') set.close()
    })
    unsubscribe = set.subscribe(() => heard.push('2'))
    set.subscribe((current) => heard.push(`3${names(current)}`))
    set.publish(members('a'))
    set.publish(members('b'))
    set.publish(members('c'))
    expect(heard).toEqual(['1a', '3a', '1b'])
    expect(names(set.current)).toBe('c')
  })
})
