import { messageOf } from '../../errors.ts'
import { HashRing } from '../../ring/hash-ring.ts'
import type { PageData, PlanAnswer, View } from '../view/data.ts'
import { content } from '../view/document.ts'
import { noticeList } from '../view/sections.ts'
import { durationText } from '../view/words.ts'
import { startActions } from './actions.ts'
import { ask, Feed, type Answers, type Connection } from './feed.ts'
import { render, renderInside } from './morph.ts'

const { documentElement: root } = document
const { view = '', ring: ringName = '', now = '0', actions } = root.dataset
const apiRoot = ringName === '' ? 'v1' : `v1/rings/${ringName}`

/** What a plan changes: lists, as in a query of `v1/plan`. */
const PLAN_PARAMETERS = ['leave', 'join', 'weight']

/** How far this machine's clock is from that of the member. */
const clockOffsetMs = Number(now) - Date.now()

/** What people did here, beside what the member answers. */
let own: Pick<PageData, 'lookUp' | 'planned' | 'filter' | 'operating'> = {
  lookUp: undefined,
  planned: undefined,
  filter: new URLSearchParams(location.search).get('filter') ?? '',
  operating: false,
}
let answers: Answers | undefined
let hashRing = HashRing.empty

function memberNow(): number {
  return Date.now() + clockOffsetMs
}

function show(): void {
  if (answers === undefined) return
  const data: PageData = {
    ...answers,
    ...own,
    view: view as View,
    ringName: ringName === '' ? undefined : ringName,
    hasRings: document.querySelector('nav a[href="rings"]') !== null,
    actions: actions !== undefined,
    nowMs: memberNow(),
  }
  if (hashRing.digest !== data.ring.digest) hashRing = hashRing.with(data.ring.nodes)
  render(document.querySelector('#notices')!, noticeList(data))
  renderInside(document.querySelector('#content')!, content(data, hashRing))
}

function change(made: Partial<typeof own>): void {
  own = { ...own, ...made }
  show()
}

let heardAtMs = memberNow()

function showConnection(connection: Connection): void {
  if (connection !== 'lost') heardAtMs = memberNow()
  const time = `${new Date(heardAtMs).toISOString().slice(11, 19)} UTC`
  const texts = {
    live: 'live',
    polling: 'no stream of changes: asking every few seconds',
    lost: `connection lost: this is the state of ${time}. Trying again.`,
  }
  const live = document.querySelector('#live')!
  if (live.className === `live ${connection}`) return
  live.className = `live ${connection}`
  live.textContent = texts[connection]
}

async function lookUp(key: string): Promise<void> {
  const url = new URL(location.href)
  if (key === '') url.searchParams.delete('key')
  else url.searchParams.set('key', key)
  history.replaceState(null, '', url)
  if (key === '') return change({ lookUp: undefined })
  try {
    const { owners } = await ask<{ owners: NonNullable<PageData['lookUp']>['owners'] }>(
      `${apiRoot}/owners?n=3&key=${encodeURIComponent(key)}`,
    )
    change({ lookUp: { key, owners, problem: undefined } })
  } catch (error) {
    change({ lookUp: { key, owners: undefined, problem: messageOf(error) } })
  }
}

/** Plans what the form says, and notes it in the address, which then leads to the same answer. */
function submitPlan(form: HTMLFormElement): void {
  const fields = new FormData(form)
  const url = new URL(location.href)
  for (const name of PLAN_PARAMETERS) {
    url.searchParams.delete(name)
    for (const entry of fields.getAll(name) as string[]) {
      if (entry !== '') url.searchParams.append(name, entry)
    }
  }
  history.replaceState(null, '', url)
  void plan(url.searchParams)
}

async function plan(parameters: URLSearchParams): Promise<void> {
  const query = new URLSearchParams()
  for (const name of PLAN_PARAMETERS) {
    for (const list of parameters.getAll(name)) {
      for (const entry of list.split(',')) query.append(name, entry.trim())
    }
  }
  try {
    change({ planned: await ask<PlanAnswer>(`${apiRoot}/plan?${query}`) })
  } catch (error) {
    change({ planned: { problem: messageOf(error) } })
  }
}

/** Marks all that belongs to one node: its arcs, its row. */
function mark(target: EventTarget | null): void {
  const node =
    target instanceof Element ? target.closest('[data-node]')?.getAttribute('data-node') : undefined
  const circle = document.querySelector('#circle')
  circle?.classList.toggle('pointed', node !== undefined && node !== null)
  for (const element of document.querySelectorAll('[data-node]')) {
    element.classList.toggle('pointed', element.getAttribute('data-node') === node)
  }
}

document.addEventListener('submit', (event) => {
  const form = event.target as HTMLFormElement
  if (form.matches('.look-up')) void lookUp(new FormData(form).get('key') as string)
  else if (form.matches('.plan')) submitPlan(form)
  else if (!form.matches('.filter')) return
  event.preventDefault()
})
document.addEventListener('input', ({ target }) => {
  if (target instanceof HTMLInputElement && target.id === 'filter') change({ filter: target.value })
})
document.addEventListener('pointerover', ({ target }) => mark(target))
document.addEventListener('focusin', ({ target }) => mark(target))

setInterval(() => {
  const nowMs = memberNow()
  for (const time of document.querySelectorAll<HTMLElement>('time[data-since]')) {
    const text = durationText(nowMs - Number(time.dataset['since']))
    if (time.textContent !== text) time.textContent = text
  }
}, 1000)

const feed = new Feed(apiRoot, {
  wantsRings: view === 'rings',
  changed: (given) => {
    answers = given
    show()
  },
  connected: showConnection,
})
feed.start()
const asked = new URLSearchParams(location.search)
const key = asked.get('key') ?? ''
if (key !== '') void lookUp(key)
if (PLAN_PARAMETERS.some((name) => asked.has(name))) void plan(asked)
if (actions !== undefined) {
  startActions(actions, { operating: (operating) => change({ operating }), done: () => feed.hurry() })
}
