#!/usr/bin/env node
import { checkNode } from './cli/node-version.ts'

checkNode()
const { main } = await import('./cli/main.ts')
const { processTerminal } = await import('./cli/terminal.ts')

process.exitCode = await main(process.argv.slice(2), process.env, processTerminal())
