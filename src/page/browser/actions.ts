import { messageOf } from '../../errors.ts'
import { html, type Markup } from '../view/html.ts'
import { shareText } from '../view/words.ts'
import { renderInside } from './morph.ts'

/** What the admin port says of an action, done or only looked at. */
interface ActionResult {
  readonly message: string
  readonly movedShare: number
  readonly changed: boolean
  readonly details: readonly string[]
}

interface Wanted {
  readonly action: string
  readonly fields: { readonly name?: string; readonly weight?: number }
}

/** The token, for as long as the page is open: it is kept nowhere else. */
let token = ''

/** @param url - Where the actions are, relative to the page. */
async function send(url: string, body?: object): Promise<unknown> {
  const response = await fetch(url, {
    headers: { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/json' }) },
    ...(body && { method: 'POST', body: JSON.stringify(body) }),
  })
  const answer = (await response.json()) as { readonly detail?: string }
  if (!response.ok) throw new Error(answer.detail ?? `status ${response.status}`)
  return answer
}

function tokenForm(problem: string | undefined): Markup {
  return html`<form class="card token">
    <label for="token">Operator token</label>
    <div class="field">
      <input id="token" type="password" autocomplete="off" required />
      <button>Allow actions</button>
    </div>
    <small>It stays in this page's memory, and is gone when the page is closed.</small>
    ${problem !== undefined && html`<p class="problem" role="alert">${problem}</p>`}
  </form>`
}

function question({ action, fields }: Wanted, result: ActionResult | undefined, problem: string | undefined) {
  return html`<form method="dialog" class="question">
    <h2>${action} ${fields.name ?? 'the member that answers you'}</h2>
    ${
      action === 'weight' &&
      html`<label for="weight">Weight, 1 to 1000</label>
        <input id="weight" type="number" min="1" max="1000" value="${fields.weight}" required />`
    }
    ${
      result !== undefined &&
      html`<p>${result.message}</p>
        <p><strong>${shareText(result.movedShare)}</strong> of the keys would get another owner.</p>
        <ul>
          ${result.details.map((detail) => html`<li>${detail}</li>`)}
        </ul>`
    }
    ${problem !== undefined && html`<p class="problem" role="alert">${problem}</p>`}
    <label for="reason">Why, for the log</label>
    <input id="reason" maxlength="200" autocomplete="off" />
    <div class="buttons">
      <button value="cancel" formnovalidate>Cancel</button>
      <button value="look" type="button">What would move?</button>
      <button value="do" type="button" class="danger">Do it</button>
    </div>
  </form>`
}

/**
 * Lets operators act, once they have entered the token.
 *
 * @param root - Where the actions are, relative to the page.
 */
export function startActions(
  root: string,
  on: { readonly operating: (operating: boolean) => void; readonly done: () => void },
): void {
  const panel = document.querySelector('#operator')!
  const dialog = document.createElement('dialog')
  document.body.append(dialog)
  let wanted: Wanted | undefined
  const valueOf = (selector: string) => document.querySelector<HTMLInputElement>(selector)?.value ?? ''

  const ask = (result?: ActionResult, problem?: string) => {
    if (wanted !== undefined) renderInside(dialog, question(wanted, result, problem))
  }

  const act = async (dryRun: boolean) => {
    if (wanted === undefined) return
    const { action, fields } = wanted
    const weight = action === 'weight' ? { weight: Number(valueOf('#weight')) } : {}
    try {
      const body = { ...fields, ...weight, reason: valueOf('#reason'), by: 'the page', dryRun }
      const result = (await send(`${root}/${action}`, body)) as ActionResult
      if (dryRun) return ask(result)
      dialog.close()
      renderInside(
        panel,
        html`<p class="card done" role="status">${result.message} ${result.details.join(' ')}</p>`,
      )
      on.done()
    } catch (error) {
      ask(undefined, messageOf(error))
    }
  }

  const enter = async () => {
    token = valueOf('#token')
    try {
      await send(root)
      renderInside(
        panel,
        html`<p class="card done" role="status">Actions are allowed until this page is closed.</p>`,
      )
      on.operating(true)
    } catch (error) {
      token = ''
      renderInside(panel, tokenForm(messageOf(error)))
    }
  }

  renderInside(panel, tokenForm(undefined))
  panel.addEventListener('submit', (event) => {
    event.preventDefault()
    void enter()
  })
  dialog.addEventListener('click', ({ target }) => {
    const value = target instanceof HTMLButtonElement ? target.value : ''
    if (value === 'look' || value === 'do') void act(value === 'look')
  })
  document.addEventListener('click', ({ target }) => {
    const button = target instanceof Element ? target.closest<HTMLElement>('button[data-action]') : null
    if (button === null) return
    const { action = '', member } = button.dataset
    wanted = { action, fields: member === undefined ? {} : { name: member } }
    ask()
    dialog.showModal()
    if (action !== 'weight') void act(true)
  })
}
