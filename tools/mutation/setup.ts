import { configureGlobal } from 'fast-check'

// The same values for each mutant, and no search for the smallest counterexample: one that fails is enough.
configureGlobal({ seed: 1, endOnFailure: true })
