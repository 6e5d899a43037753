import type { Socket } from 'node:net'
import type Koa from 'koa'
import { isRingmanError, RingmanError } from '../errors.ts'
import { checkKey, readParameters } from '../http/parameters.ts'
import { makeAnswer } from '../http/respond.ts'
import type { RingAnswers } from '../http/ring-answers.ts'
import { PLAN_PARAMETERS, readPlan } from '../http/ring-plans.ts'
import { matchesEtag } from '../http/ring-view.ts'
import type { Route } from '../http/route.ts'
import type { Page, PageParts } from '../http/routes.ts'
import { FILE_NAMES, FILES_PATH, fileUrls, readPageFile, type PageFile } from './files.ts'
import { VIEWS, type LookUp, type PageData, type View } from './view/data.ts'

/** Owners that a look-up on the page shows. */
const OWNERS_SHOWN = 3

/**
 * Scripts, styles and requests come from this port and go to it, and nothing stands in the document itself. What members
 * say is text there, and if a fault of ours made it more, this keeps it from being run.
 */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
  "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; " +
  "require-trusted-types-for 'script'; trusted-types ringman"

const HTML_HEADERS = Object.entries({
  'Content-Type': 'text/html; charset=utf-8',
  'Cache-Control': 'no-store',
  Vary: 'Accept',
  'X-Content-Type-Options': 'nosniff',
  'Content-Security-Policy': POLICY,
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Opener-Policy': 'same-origin',
}).flat()

/**
 * The status page: a document at `/` and at each view for those who prefer HTML, made of what the routes under `/v1`
 * answer, and below `/assets/` the files that it needs.
 *
 * @param options - `actions`: whether the port takes actions of operators; the page then asks for their token.
 */
export function createPage(
  { responder, limits, ...rings }: PageParts,
  { actions = false }: { readonly actions?: boolean } = {},
): Page {
  const urls = fileUrls()
  const fileRoutes = new Map(
    FILE_NAMES.map((name) => [`/${FILES_PATH}/${name}`, { path: `/${FILES_PATH}`, GET: sendFile(name) }]),
  )
  const documents = new Map(
    (Object.keys(VIEWS) as View[])
      .filter((view) => view !== 'rings' || rings.named !== undefined)
      .map((view) => [`/${view}`, { path: `/${view}`, GET: sendDocument(view) }]),
  )

  return (ctx, path): Route | undefined => {
    if (ctx.method !== 'GET' && ctx.method !== 'HEAD') return undefined
    const document = documents.get(path)
    if (document !== undefined) return ctx.accepts('json', 'html') === 'html' ? document : undefined
    return fileRoutes.get(path)
  }

  /** @throws {RingmanError} `RING_NOT_FOUND`, and as `NamedRings.get`. */
  function ringOf(name: string | undefined): RingAnswers {
    if (name === undefined) return rings.own
    if (rings.named !== undefined) return rings.named.get(name)
    throw new RingmanError('RING_NOT_FOUND', 'this member has no rings that are known by name')
  }

  function sendFile(name: string) {
    let file: PageFile | undefined
    return (ctx: Koa.Context) => {
      file ??= readPageFile(name)
      const { etag, answer } = file
      const isKnown = matchesEtag(ctx.req.headers['if-none-match'], etag)
      return isKnown ? { status: 304, headers: ['ETag', etag], body: '' } : answer
    }
  }

  function sendDocument(view: View) {
    return async (ctx: Koa.Context, query: string) => {
      const parameters = readParameters(query, ['ring', 'key', 'filter', ...PLAN_PARAMETERS], PLAN_PARAMETERS)
      const ringName = parameters.get('ring')
      const answers = ringOf(ringName)
      const { turns } = responder.ledger
      const { socket } = ctx.req
      // Few members show their page, and its order of names has Node.js load 3 MB of languages.
      const { page } = await import('./view/document.ts')
      const planned = await plan(answers, parameters, socket)
      await turns.begin(socket)
      if (socket.destroyed) return undefined
      const ring = JSON.parse(answers.ring()) as PageData['ring']
      await turns.goOn()
      const members = JSON.parse(answers.members()) as PageData['members']
      await turns.goOn()
      const data: PageData = {
        view,
        ringName,
        actions,
        ring,
        members,
        hasRings: rings.named !== undefined,
        changes: JSON.parse(answers.changes()) as PageData['changes'],
        agreement: tryParse(answers.lastAgreement()) as PageData['agreement'],
        lookUp: lookUp(answers, parameters.get('key')),
        rings: tryParse(view === 'rings' ? rings.named?.list() : undefined) as PageData['rings'],
        planned,
        filter: parameters.get('filter') ?? '',
        operating: false,
        nowMs: answers.wallNow(),
      }
      if (socket.destroyed) return undefined
      const { text } = page(data, answers.view.get().snapshot.ring, urls)
      // The next one who looks gets to know, also without a script.
      answers.askAgreement()
      return makeAnswer(200, HTML_HEADERS, Buffer.from(text, 'utf8').toString('latin1'))
    }
  }

  async function plan(
    answers: RingAnswers,
    parameters: ReadonlyMap<string, string>,
    socket: Socket,
  ): Promise<PageData['planned']> {
    try {
      const lists = PLAN_PARAMETERS.map((name) => [name, trimmed(parameters.get(name) ?? '')] as const)
      const change = readPlan(new Map(lists), limits)
      if (Object.values(change).every(({ length }) => length === 0)) return undefined
      return tryParse(await answers.plan(change, responder.ledger.turns, socket)) as PageData['planned']
    } catch (error) {
      if (!isRingmanError(error)) throw error
      return { problem: error.message }
    }
  }

  function lookUp({ service }: RingAnswers, key: string | undefined): LookUp | undefined {
    if (key === undefined || key === '') return undefined
    try {
      const owners = service.manager.getNodes(checkKey(key, limits), OWNERS_SHOWN)
      return { key, owners, problem: undefined }
    } catch (error) {
      if (!isRingmanError(error)) throw error
      return { key, owners: undefined, problem: error.message }
    }
  }
}

/** A comma list without the spaces that people put after commas. */
function trimmed(list: string): string {
  return list
    .split(',')
    .map((entry) => entry.trim())
    .join(',')
}

function tryParse(json: string | undefined): unknown {
  return json === undefined ? undefined : JSON.parse(json)
}
