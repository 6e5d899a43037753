#!/usr/bin/env node
// kubectl finds its plugins by the names of their files.
import { checkNode } from './cli/node-version.ts'

checkNode()
const { kubectlMain } = await import('./cli/kubectl.ts')
const { processTerminal } = await import('./cli/terminal.ts')

process.exitCode = await kubectlMain(process.argv.slice(2), process.env, processTerminal())
