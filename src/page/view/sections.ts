import { coloursOf, titleOf } from './circle.ts'
import type { AgreementAnswer, LookUp, Member, PageData, RingNode } from './data.ts'
import { html, type Markup, type Value } from './html.ts'
import { noticesOf } from './notices.ts'
import { counted } from '../../counted.ts'
import { byName, shareText, since } from './words.ts'

/** What is wrong, or that nothing is. */
export function noticeList(data: PageData): Markup {
  const symbols = { critical: '✕', warning: '!', good: '✓' }
  return html`<ul id="notices" class="notices" aria-label="Warnings">
    ${noticesOf(data).map(
      ({ level, title, text }) =>
        html`<li class="${level}">
          <span class="symbol" aria-hidden="true">${symbols[level]}</span>
          <p><strong>${title}</strong> ${text}</p>
        </li>`,
    )}
  </ul>`
}

/** The state of a ring in a few figures. */
export function factList(data: PageData): Markup {
  const { ring, members, changes, agreement, nowMs } = data
  const count = (state: string) => members.members.filter((member) => member.state === state).length
  const states = ['alive', 'suspect', 'dead', 'left'].filter((state) => count(state) > 0)
  const [lastChange] = changes.changes
  const largest = Math.max(0, ...ring.nodes.map(({ share }) => share))
  const fact = (name: string, value: Value, text: Value) =>
    html`<div>
      <dt>${name}</dt>
      <dd>${value} <small>${text}</small></dd>
    </div>`
  return html`<dl id="facts" class="facts">
    ${fact('On the ring', ring.nodes.length, ring.nodes.length === 1 ? 'node' : 'nodes')}
    ${fact('Members', members.members.length, states.map((state) => `${count(state)} ${state}`).join(', '))}
    ${agreementFact(agreement, fact)}
    ${fact(
      'Last change',
      lastChange === undefined ? 'none' : since(lastChange.timeMs, nowMs),
      lastChange === undefined
        ? 'since the start'
        : `ago: ${CAUSES[lastChange.cause]?.short ?? lastChange.cause}`,
    )}
    ${fact('Largest share', shareText(largest), `${(largest * ring.nodes.length).toFixed(2)} times the mean`)}
  </dl>`
}

function agreementFact(
  agreement: AgreementAnswer | undefined,
  fact: (name: string, value: Value, text: Value) => Markup,
): Markup {
  const asked = agreement === undefined ? [] : answersOf(agreement)
  const isAsking = agreement?.members.some(({ verdict }) => verdict === 'not-yet-asked') !== false
  if (asked.length === 0 && isAsking) return fact('Agreement', '…', 'the others are being asked')
  if (asked.length === 0) return fact('Agreement', '–', 'there is nobody to ask')
  const same = asked.filter(({ verdict }) => verdict === 'agrees').length
  return fact('Agreement', `${same} of ${asked.length}`, 'others have this ring')
}

/** Members whose answer is of the ring as it is now. */
function answersOf({ members }: AgreementAnswer) {
  return members.filter(({ verdict }) => verdict !== 'not-asked' && verdict !== 'not-yet-asked')
}

/** Where a key lands: a form, and what it found. */
export function lookUp({ ring, lookUp: found, ringName }: PageData): Markup {
  return html`<form class="look-up" role="search" method="get" action="./">
      ${ringName !== undefined && html`<input type="hidden" name="ring" value="${ringName}" />`}
      <h2><label for="key">Where does a key land?</label></h2>
      <div class="field">
        <input
          id="key"
          name="key"
          type="search"
          placeholder="user:42"
          value="${found?.key}"
          autocomplete="off"
          autocapitalize="off"
          spellcheck="false"
          maxlength="4096"
        />
        <button>Find</button>
      </div>
    </form>
    ${lookUpResult(found, ring.nodes)}`
}

function lookUpResult(found: LookUp | undefined, nodes: readonly RingNode[]): Markup {
  const colours = coloursOf(nodes)
  const places = ['owner', 'next', 'after that']
  return html`<div id="found" role="status">
    ${found?.problem !== undefined && html`<p class="problem">${found.problem}</p>`}
    ${
      found?.owners !== undefined &&
      html`<ol class="owners">
        ${found.owners.map(
          (node, at) =>
            html`<li data-node="${node.ringKey}">
              <span class="swatch c${colours.get(node.ringKey)}" aria-hidden="true"></span>
              <span class="name">${titleOf(node)}</span>
              <span class="place">${places[at]}</span>
            </li>`,
        )}
      </ol>`
    }
  </div>`
}

/** A bar for a fraction of the largest one. */
function bar(share: number, largest: number, colour: number | undefined): Markup {
  const width = largest === 0 ? 0 : Math.round((share / largest) * 1000) / 10
  return html`<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
    <rect class="c${colour}" width="${width}" height="8" rx="1" />
  </svg>`
}

/** The head of a column. */
export const column = (name: string) => html`<th scope="col">${name}</th>`

/** The head of a column of numbers. */
export const numbers = (name: string) => html`<th scope="col" class="number">${name}</th>`

export function table(
  id: string,
  { label, caption }: { readonly label: string; readonly caption: string },
  heads: Value,
  rows: Value,
): Markup {
  return html`<div class="scroll" tabindex="0" role="region" aria-label="${label}">
    <table id="${id}" class="${id}">
      <caption>
        ${caption}
      </caption>
      <thead>
        <tr>
          ${heads}
        </tr>
      </thead>
      <tbody>
        ${rows}
      </tbody>
    </table>
  </div>`
}

/** The nodes with their shares; those with the largest share first. */
export function nodeTable({ ring }: PageData, most: number): Markup {
  const colours = coloursOf(ring.nodes)
  const sorted = ring.nodes.toSorted((a, b) => b.share - a.share || byName(a.ringKey, b.ringKey))
  const largest = sorted[0]?.share ?? 0
  const zones = ring.nodes.some(({ zone }) => zone !== undefined)
  const weights = ring.nodes.some(({ weight }) => weight !== 1)
  const ofSome = [weights && numbers('Weight'), zones && column('Zone')]
  return table(
    'nodes',
    { label: 'Nodes of the ring', caption: 'Nodes of the ring, by share' },
    [column('Node'), numbers('Share'), html`<td></td>`, ofSome],
    sorted.slice(0, most).map(
      (node) =>
        html`<tr data-key="${node.ringKey}" data-node="${node.ringKey}">
          <th scope="row">
            <span class="swatch c${colours.get(node.ringKey)}" aria-hidden="true"></span>
            <span class="name">${node.name ?? node.ringKey}</span>
            ${node.name !== undefined && node.name !== node.ringKey && html`<small>${node.ringKey}</small>`}
          </th>
          <td class="number">${shareText(node.share)}</td>
          <td class="bars">${bar(node.share, largest, colours.get(node.ringKey))}</td>
          ${weights && html`<td class="number">${node.weight}</td>`}
          ${zones && html`<td>${node.zone ?? '–'}</td>`}
        </tr>`,
    ),
  )
}

/** Those that need attention first: an order of states in which an operator reads. */
const STATE_ORDER = ['suspect', 'dead', 'left', 'alive']

function attention({ state, onRing }: Member): number {
  return state === 'alive' && !onRing ? -1 : STATE_ORDER.indexOf(state)
}

/** Chooses members by what stands in their rows. */
export function memberFilter({ filter, ringName }: PageData): Markup {
  return html`<form class="filter" role="search" method="get" action="members">
    ${ringName !== undefined && html`<input type="hidden" name="ring" value="${ringName}" />`}
    <label for="filter">Show only</label>
    <input
      id="filter"
      name="filter"
      type="search"
      value="${filter}"
      placeholder="a name, an address, a state, a zone"
      autocomplete="off"
      spellcheck="false"
      maxlength="200"
    />
  </form>`
}

function matches(filter: string): (member: Member) => boolean {
  const wanted = filter.trim().toLowerCase()
  if (wanted === '') return () => true
  return ({ name, address, state, zone, version, ringKey }) =>
    [name, address, state, zone, version, ringKey].some((text) => text?.toLowerCase().includes(wanted))
}

/** All members, those first that need attention. */
export function memberTable(data: PageData): Markup {
  const found =
    data.view === 'members' ? data.members.members.filter(matches(data.filter)) : data.members.members
  const all = found.toSorted((a, b) => attention(a) - attention(b) || byName(a.name, b.name))
  const versions = all.some(({ version }) => version !== null && version !== undefined)
  const zones = all.some(({ zone }) => zone !== null)
  const known = counted(data.members.members.length, 'member')
  const shown = all.length < data.members.members.length ? `${all.length} of ${known}` : known
  const ofSome = [zones && column('Zone'), versions && column('Version'), data.operating && column('Actions')]
  return table(
    'members',
    { label: 'Members', caption: `${shown} that this one knows` },
    [column('Member'), column('State'), numbers('For'), column('On the ring'), column('Address'), ofSome],
    all.map((member) => memberRow(member, data, { zones, versions })),
  )
}

function memberRow(
  member: Member,
  { nowMs, operating }: PageData,
  columns: { readonly zones: boolean; readonly versions: boolean },
): Markup {
  const { name, state, stateSinceMs, self, address, port, zone, version, offRingReason } = member
  return html`<tr data-key="${name}" class="${offRingReason === null ? 'on' : 'off'}">
    <th scope="row">
      <span class="name">${name}</span> ${self && html`<span class="tag">answers you</span>`}
    </th>
    <td><span class="state ${state}">${state}</span></td>
    <td class="number">${since(stateSinceMs, nowMs)}</td>
    <td class="why">${offRingReason === null ? 'yes' : html`no: ${uncapped(offRingReason.message)}`}</td>
    <td>${placeOf(address, port)}</td>
    ${columns.zones && html`<td>${zone ?? '–'}</td>`} ${columns.versions && html`<td>${version ?? '–'}</td>`}
    ${operating && html`<td class="actions">${actionsOn(member)}</td>`}
  </tr>`
}

/** What an operator can have done to a member. */
function actionsOn({ name, state, self }: Member): Value {
  if (self) {
    return ['drain', 'return', 'weight'].map(
      (action) => html`<button type="button" data-action="${action}">${action}</button> `,
    )
  }
  const action = state === 'alive' || state === 'suspect' ? 'evict' : 'forget'
  return html`<button type="button" data-action="${action}" data-member="${name}">${action}</button>`
}

function placeOf(address: string, port: number): string {
  if (port === 0) return address
  return `${address.includes(':') ? `[${address}]` : address}:${port}`
}

function uncapped(text: string): string {
  return text.replace(/^(It|Its|The)\b/, (word) => word.toLowerCase())
}

/** Whether the others have the same ring, member by member; those that do not first. */
export function agreementList({ agreement: found, nowMs }: PageData): Markup {
  if (found === undefined) {
    return html`<div id="agreement"><p class="quiet">The others are being asked for their rings.</p></div>`
  }
  const asked = answersOf(found)
  const others = asked.filter(({ verdict }) => verdict !== 'agrees')
  const shown = asked.length <= VERDICTS_SHOWN ? asked : others.slice(0, VERDICTS_SHOWN)
  const same = asked.length - others.length
  const [unaskable, waiting] = ['not-asked', 'not-yet-asked'].map(
    (one) => found.members.filter(({ verdict }) => verdict === one).length,
  ) as [number, number]
  return html`<div id="agreement">
    <p>
      ${
        asked.length === 0
          ? waiting === 0 && 'There is no other member to ask.'
          : html`${same} of ${counted(asked.length, 'other member')} ${same === 1 ? 'has' : 'have'} the same
            ring as this one, asked ${since(found.askedAtMs, nowMs)} ago.`
      }
      ${waiting > 0 && `${counted(waiting, 'member')} will be asked in a moment: the ring has just changed.`}
      ${unaskable > 0 && `${counted(unaskable, 'member')} could not be asked: ${unaskable === 1 ? 'it does' : 'they do'} not say where.`}
    </p>
    ${
      shown.length > 0 &&
      html`<ul class="verdicts">
        ${shown.map(
          ({ name, verdict, digest, error }) =>
            html`<li data-key="${name}">
              <span class="verdict ${verdict}">${VERDICTS[verdict] ?? verdict}</span>
              <span class="name">${name}</span> <small>${error?.message ?? digest?.slice(0, 8)}</small>
            </li>`,
        )}
        ${shown.length < others.length && html`<li>and ${others.length - shown.length} more</li>`}
      </ul>`
    }
  </div>`
}

const VERDICTS_SHOWN = 20

const VERDICTS: Readonly<Record<string, string>> = {
  agrees: 'same ring',
  behind: 'older ring',
  differs: 'other ring',
  silent: 'no answer',
}

/** What the causes of changes mean to people: `docs/http.md` has the list. */
const CAUSES: Readonly<Record<string, { readonly short: string; readonly text: (nodes: string) => string }>> =
  {
    joined: { short: 'joined', text: (nodes) => `${nodes} came onto the ring` },
    left: { short: 'left', text: (nodes) => `${nodes} left: a scale-down or a rolling update` },
    dead: { short: 'died', text: (nodes) => `${nodes} was declared dead` },
    'mass-failure': { short: 'mass failure', text: (nodes) => `${nodes} were declared dead at once` },
    removed: { short: 'removed', text: (nodes) => `${nodes} is not listed any more` },
    updated: { short: 'updated', text: (nodes) => `${nodes} changed: weight, address or zone` },
    'was-off-ring': {
      short: 'was off the ring',
      text: (nodes) => `${nodes} had been taken off by the others for a while`,
    },
  }

/** What changed lately, the newest first. */
export function changeList(
  { changes: { changes: all }, members: known, nowMs }: PageData,
  most: number,
): Markup {
  const names = new Map(known.members.map(({ ringKey, name }) => [ringKey, name]))
  if (all.length === 0) {
    return html`<div id="changes">
      <p class="quiet">The ring has not changed since this member began.</p>
    </div>`
  }
  return html`<div id="changes">
    <ol class="changes">
      ${all.slice(0, most).map(({ epoch, timeMs, cause, node, count, movedShare, after }) => {
        const one = titleOf({ ringKey: node, name: names.get(node) })
        const who = count > 1 ? `${one} and ${counted(count - 1, 'other node')}` : one
        const { short = cause, text = (nodes: string) => `${nodes}: ${cause}` } = CAUSES[cause] ?? {}
        return html`<li data-key="${epoch} ${cause}">
          <span class="cause ${cause}">${short}</span>
          <span class="what">${text(who)}</span>
          <span class="moved"
            >${movedShare > 0 && shareText(movedShare)}
            <small>${movedShare > 0 ? 'of the keys moved' : 'no key moved'}</small></span
          >
          <span class="when">${since(timeMs, nowMs)} ago</span>
          <small class="digest" title="Digest of the ring after it">${after.slice(0, 8)}</small>
        </li>`
      })}
    </ol>
  </div>`
}

/** The rings that are known by name. */
export function ringTable({ rings: answer, ringName }: PageData): Markup {
  const all = answer?.rings ?? []
  return table(
    'rings',
    { label: 'Rings', caption: `${counted(all.length, 'ring')} by name, from HashRing resources` },
    [column('Ring'), numbers('Nodes'), column('Condition'), column('Digest')],
    all.map(
      ({ name, ring, reason }) =>
        html`<tr data-key="${name}">
          <th scope="row">
            <a href="./?ring=${encodeURIComponent(name)}" ${name === ringName && html`aria-current="true"`}
              >${name}</a
            >
          </th>
          <td class="number">${ring?.nodes ?? '–'}</td>
          <td class="why">${ring === null ? `makes no ring: ${reason ?? ''}` : ring.message}</td>
          <td>${ring?.digest.slice(0, 8) ?? '–'}</td>
        </tr>`,
    ),
  )
}
