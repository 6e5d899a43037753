import { coloursOf, titleOf } from './circle.ts'
import type { PageData } from './data.ts'
import { html, type Markup } from './html.ts'
import { column, numbers, table } from './sections.ts'
import { counted } from '../../counted.ts'
import { byName, shareText } from './words.ts'

/** The form in which nodes are ticked to leave, and others named to join. */
export function planForm({ ring, ringName }: PageData): Markup {
  const colours = coloursOf(ring.nodes)
  return html`<form id="plan" class="plan" method="get" action="plan">
    <p class="quiet">Nothing is changed by this: it only says what would move.</p>
    ${ringName !== undefined && html`<input type="hidden" name="ring" value="${ringName}" />`}
    <fieldset>
      <legend>These leave</legend>
      <div id="leavers" class="leavers">
        ${ring.nodes.map(
          (node) =>
            html`<label data-key="${node.ringKey}" data-node="${node.ringKey}">
              <input type="checkbox" name="leave" value="${node.ringKey}" />
              <span class="swatch c${colours.get(node.ringKey)}" aria-hidden="true"></span>
              <span class="name">${titleOf(node)}</span>
            </label>`,
        )}
      </div>
    </fieldset>
    <label for="join">These join</label>
    <div class="field">
      <input
        id="join"
        name="join"
        placeholder="10.0.0.9:8000, 10.0.0.10:8000=2"
        autocomplete="off"
        spellcheck="false"
        maxlength="4096"
        aria-describedby="join-help"
      />
    </div>
    <label for="reweight">These get another weight</label>
    <div class="field">
      <input
        id="reweight"
        name="weight"
        placeholder="10.0.0.1:8000=2"
        autocomplete="off"
        spellcheck="false"
        maxlength="4096"
        aria-describedby="join-help"
      />
      <button>What would move?</button>
    </div>
    <small id="join-help">Ring keys with commas between them; a weight follows an equals sign.</small>
  </form>`
}

/** What a plan would move, or why there is no answer. */
export function planResult({ planned: answer }: PageData): Markup {
  if (answer === undefined) return html`<div id="planned" role="status"></div>`
  if ('problem' in answer) {
    return html`<div id="planned" role="status"><p class="problem">${answer.problem}</p></div>`
  }
  const { movedShare, maxMeanBefore, maxMeanAfter, shares } = answer
  const sorted = shares.toSorted(
    (a, b) => Math.abs(b.after - b.before) - Math.abs(a.after - a.before) || byName(a.ringKey, b.ringKey),
  )
  return html`<div id="planned" role="status">
    <p class="headline">
      <strong>${shareText(movedShare)}</strong> of the keys would get another owner. The largest share would
      go from ${maxMeanBefore.toFixed(2)} to ${maxMeanAfter.toFixed(2)} times the mean.
    </p>
    ${table(
      'shares',
      {
        label: 'Shares before and after',
        caption: `${counted(shares.length, 'node')}, those first whose share changes most`,
      },
      [column('Node'), numbers('Before'), numbers('After'), numbers('Change')],
      sorted.slice(0, SHARES_SHOWN).map(({ ringKey, before, after }) => {
        const change = (after - before) * 100
        return html`<tr>
          <th scope="row"><span class="name">${ringKey}</span></th>
          <td class="number">${before === 0 ? '–' : shareText(before)}</td>
          <td class="number">${after === 0 ? '–' : shareText(after)}</td>
          <td class="number ${change < 0 ? 'less' : 'more'}">${change > 0 && '+'}${change.toFixed(1)}</td>
        </tr>`
      }),
    )}
  </div>`
}

const SHARES_SHOWN = 100
