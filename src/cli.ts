#!/usr/bin/env node
import { enableCompileCache } from 'node:module'

// Commands start in about half the time when their code is compiled already. The cache lies in the system's folder for
// temporary files; where that cannot be written there is none.
enableCompileCache()
const { main } = await import('./cli/main.ts')
const { processTerminal } = await import('./cli/terminal.ts')

process.exitCode = await main(process.argv.slice(2), process.env, processTerminal())
