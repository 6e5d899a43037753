/**
 * The process in which Vitest runs tests. Where mutants are tried one by one, it runs the tests with everything imported anew
 * for each of them, many times quicker than a process for each.
 */
import { init, runBaseTests, setupEnvironment } from 'vitest/worker'
import { Ledger, taskOf } from './ledger.ts'
import { Switch } from './switch.ts'

const ledger = new Ledger(process.env['MUTATION_LEDGER']!)
const mutation = (globalThis.mutation = new Switch())
// Tests may put others in their place.
const exit = process.exit.bind(process)
const kill = process.kill.bind(process, process.pid)
const send = process.send!.bind(process) as (message: unknown) => boolean

init({
  post: send,
  on: (listener) => process.on('message', listener),
  off: (listener) => process.off('message', listener),
  teardown: () => process.removeAllListeners('message'),
  setup: setupEnvironment,
  collectTests: () => undefined,
  async runTests(state, traces) {
    const task = taskOf(process.env)
    mutation.roundLimit = task.roundLimit
    if (task.kind !== 'one') {
      await runBaseTests('run', state, traces)
      return
    }
    state.config.isolate = true
    const files = [...state.ctx.files]
    const isEnded = new Set(
      ledger
        .entries()
        .flatMap((entry) => (entry.kind === 'ended' || entry.kind === 'tried' ? [entry.id] : [])),
    )
    const run = async (id: number, file: (typeof files)[number]): Promise<boolean> => {
      mutation.set(id)
      mutation.failedTest = undefined
      state.ctx.files = [file]
      await runBaseTests('run', state, traces)
      return mutation.failedTest !== undefined
    }
    for (const id of task.alive) {
      if (isEnded.has(id)) continue
      ledger.add({ kind: 'begun', id, test: '' })
      let killer: (typeof files)[number] | undefined
      for (const file of files) {
        if (!(await run(id, file))) continue
        killer = file
        break
      }
      const { isEndless, isTestEndless, isOutOfTime } = mutation
      if (isEndless) ledger.add({ kind: 'ended', id, outcome: 'endless' })
      else if (isTestEndless || isOutOfTime) ledger.add({ kind: 'ended', id, outcome: 'out of time' })
      else if (killer !== undefined) ledger.add({ kind: 'ended', id, outcome: 'killed' })
      else ledger.add({ kind: 'tried', id, test: '' })
      if (killer === undefined) continue
      // What killed this one often kills the next.
      files.splice(files.indexOf(killer), 1)
      files.unshift(killer)
      // What a mutant leaves behind must not kill the next one.
      if (isOutOfTime || (await run(-1, killer))) kill('SIGKILL')
    }
  },
})
process.on('disconnect', () => exit(1))
