#!/usr/bin/env node
// kubectl finds its plugins by the names of their files.
import nodeModule from 'node:module'

nodeModule.enableCompileCache()
const { kubectlMain } = await import('./cli/kubectl.ts')
const { processTerminal } = await import('./cli/terminal.ts')

process.exitCode = await kubectlMain(process.argv.slice(2), process.env, processTerminal())
