import { assertNever } from '../../errors.ts'
import { circle, type Owners } from './circle.ts'
import { VIEWS, type PageData, type View } from './data.ts'
import { html, type Markup } from './html.ts'
import { planForm, planResult } from './plan.ts'
import * as sections from './sections.ts'

/** Members up to this number stand on the overview. */
const FEW_MEMBERS = 24

/** Rows that the overview shows of a longer table. */
const FEW_ROWS = 12

/** What the parts of a page are that may change while it is open, in their order. */
export function content(data: PageData, owners: Owners): Markup {
  switch (data.view) {
    case '':
      return overview(data, owners)
    case 'ring':
      return html`<div class="pair">
        <section aria-label="The circle" class="card picture">${circle(data, owners)}</section>
        <section class="card">${sections.lookUp(data)} ${sections.nodeTable(data, Infinity)}</section>
      </div>`
    case 'members':
      return html`<section class="card">
        <h2>Members</h2>
        ${sections.memberFilter(data)} ${sections.memberTable(data)}
      </section>`
    case 'changes':
      return html`<section class="card">
        <h2>What changed lately</h2>
        ${sections.changeList(data, Infinity)}
      </section>`
    case 'plan':
      return html`<section class="card">
        <h2>What if</h2>
        ${planForm(data)} ${planResult(data)}
      </section>`
    case 'rings':
      return html`<section class="card">
        <h2>Rings</h2>
        ${sections.ringTable(data)}
      </section>`
    default:
      return assertNever(data.view)
  }
}

function overview(data: PageData, owners: Owners): Markup {
  const { ring, members } = data
  return html`${sections.factList(data)}
    <div class="pair">
      <section aria-label="The circle" class="card picture">${circle(data, owners)}</section>
      <section class="card">
        ${sections.lookUp(data)} ${sections.nodeTable(data, FEW_ROWS)}
        ${ring.nodes.length > FEW_ROWS && html`<p>${link(data, 'ring', `All ${ring.nodes.length} nodes`)}</p>`}
      </section>
    </div>
    <div class="pair">
      <section class="card">
        <h2>What changed lately</h2>
        ${sections.changeList(data, 6)}
        ${data.changes.changes.length > 6 && html`<p>${link(data, 'changes', 'All changes')}</p>`}
      </section>
      <section class="card">
        <h2>Agreement</h2>
        ${sections.agreementList(data)}
      </section>
    </div>
    <section class="card">
      <h2>Members</h2>
      ${
        members.members.length <= FEW_MEMBERS
          ? sections.memberTable(data)
          : html`<p>${link(data, 'members', `All ${members.members.length} members`)}</p>`
      }
    </section>`
}

/** Relative, so that the page works below any path of a proxy. */
function link({ ringName }: PageData, view: View, text: string, current = false): Markup {
  const query = ringName === undefined || view === 'rings' ? '' : `?ring=${encodeURIComponent(ringName)}`
  return html`<a href="${view === '' ? './' : view}${query}" ${current && html`aria-current="page"`}
    >${text}</a
  >`
}

/** What the document needs besides its data: the files of the page, as URLs relative to it. */
export interface Files {
  readonly style: string
  readonly icon: string
  readonly script: string
  /** What the script imports. */
  readonly modules: readonly string[]
}

/** The whole document. */
export function page(data: PageData, owners: Owners, files: Files): Markup {
  const { view, ringName, hasRings, actions, members, nowMs } = data
  const self = members.members.find((member) => member.self)?.name
  const views = (Object.keys(VIEWS) as View[]).filter((one) => one !== 'rings' || hasRings)
  return html`<!doctype html>
    <html
      lang="en"
      data-view="${view}"
      data-ring="${ringName}"
      data-now="${nowMs}"
      ${actions && html`data-actions="v1/admin"`}
    >
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${ringName ?? self ?? 'ringman'}: ${VIEWS[view]}</title>
        <link rel="icon" href="${files.icon}" />
        <link rel="stylesheet" href="${files.style}" />
        ${files.modules.map((module) => html`<link rel="modulepreload" href="${module}" />`)}
        <script type="module" src="${files.script}"></script>
      </head>
      <body>
        <a class="skip" href="#main">To the content</a>
        <header>
          <h1><img src="${files.icon}" alt="" width="28" height="28" /> ${ringName ?? 'ringman'}</h1>
          <p class="by">${self !== undefined && html`answered by <strong>${self}</strong>`}</p>
          <p id="live" role="status" class="live still">
            as of ${new Date(nowMs).toISOString().slice(11, 19)} UTC
          </p>
          <nav aria-label="Views">
            <ul>
              ${views.map((one) => html`<li>${link(data, one, VIEWS[one], one === view)}</li>`)}
            </ul>
          </nav>
        </header>
        <main id="main">
          ${sections.noticeList(data)} ${actions && html`<div id="operator"></div>`}
          <div id="content">${content(data, owners)}</div>
        </main>
        <footer>
          <p>
            The page shows what <a href="openapi.json">the HTTP API</a> answers.
            ${actions ? 'This port takes actions.' : 'It only reads.'}
          </p>
        </footer>
      </body>
    </html> `
}
