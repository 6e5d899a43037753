import { expect, test } from 'vitest'
import { createView } from '../../src/cli/dev-view.ts'

test('what happens to a local cluster is told in lines for people', () => {
  let [out, err] = ['', '']
  const terminal = {
    out: (text: string) => void (out += text),
    err: (text: string) => void (err += text),
    style: (format: string, text: string) => (format === 'dim' ? text : `<${format}>${text}`),
    columns: 80,
  }
  const tell = createView(terminal, false, 'warn', () => 4.25)
  tell('cluster.starting', { size: 1, source: 'swim' })
  tell('member.killed', { name: 'member-2', pid: 101 })
  tell('member.ended', { name: 'member-2', code: undefined, signal: 'SIGKILL', reason: undefined })
  tell('member.noticed', { name: 'member-1', killed: 'member-2', afterMs: 1234 })
  tell('ring.changed', {
    digest: '31b16f2900000000',
    nodes: 2,
    added: ['member-3'],
    removed: ['member-2'],
    holders: 2,
    agreedAfterMs: 8,
  })
  tell('ring.disagreed', { digests: { '31b16f2900000000': 2, none: 1 } })
  tell('member.ended', { name: 'member-1', code: 1, signal: undefined, reason: 'port in use' })
  tell('member.ended', { name: 'member-3', code: undefined, signal: 'SIGKILL', reason: undefined })
  const logged = (level: string, line: string) => {
    tell('member.logged', { name: 'member-1', level, line })
  }
  logged('info', '{"level":"info","msg":"Not shown"}')
  logged('warn', '{"level":"warn","member":"member-1","peer":"a\\u001b[2J","msg":"Shown"}')
  logged('error', 'no JSON\u001b[2J')
  tell('cluster.stopping', {})
  tell('cluster.stopped', {})
  expect(out.split('\n')).toEqual([
    'Starting 1 member (source swim) …',
    '   4.3s  <yellow>killed member-2 (pid 101)',
    '   4.3s  member-1 noticed the death of member-2 after 1.2 s',
    '   4.3s  <bold>ring of 2 <green>+member-3 <red>-member-2  digest 31b16f29, 2 of 2 agree after 8 ms',
    '   4.3s  <yellow>members hold different rings: 31b16f29 ×2, none ×1',
    '   4.3s  <red>member-1 ended with exit code 1: port in use',
    '   4.3s  <red>member-3 was ended by SIGKILL',
    '',
    'Stopping …',
    'All members have stopped.',
    '',
  ])
  expect(err).toBe('member-1: WARN: Shown {"peer":"a\\u{1b}[2J"}\nmember-1: no JSON\\u{1b}[2J\n')
})
