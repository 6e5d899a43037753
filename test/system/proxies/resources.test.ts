import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { RECIPES } from './proxy.ts'

type Tree = { readonly [name: string]: Tree } & readonly Tree[] & string

const documents = (text: string) => parseAllDocuments(text).map((document) => document.toJS() as unknown)
const recipe = (name: string) => documents(readFileSync(join(RECIPES, name), 'utf8')) as Tree[]

describe('all recipes for Envoy do the same, of which the static one is run', () => {
  const { static_resources: statics } = parse(readFileSync(join(RECIPES, 'envoy.yaml'), 'utf8')) as Tree
  const manager = statics?.['listeners']?.[0]?.['filter_chains']?.[0]?.['filters']?.[0]?.['typed_config']
  const [mutation, authorization] = manager?.['http_filters'] ?? []
  const asked = authorization?.['typed_config']
  const application = statics?.['clusters']?.[1]

  test("Istio's", () => {
    const [, , filter] = recipe('istio.yaml')
    const patches = filter?.['spec']?.['configPatches']
    expect(patches?.[0]?.['patch']?.['value']).toEqual(mutation)
    expect(patches?.[1]?.['patch']?.['value']).toEqual({
      connect_timeout: application?.['connect_timeout'],
      load_balancing_policy: application?.['load_balancing_policy'],
    })
    // What stands in a comment, for it belongs in the configuration of the mesh.
    const comment = readFileSync(join(RECIPES, 'istio.yaml'), 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('#   '))
      .map((line) => line.slice(4))
      .join('\n')
    const { extensionProviders } = parse(comment) as Tree
    expect(extensionProviders?.[0]).toMatchObject({
      name: 'ringman',
      envoyExtAuthzHttp: {
        pathPrefix: asked?.['http_service']?.['path_prefix'],
        failOpen: asked?.['failure_mode_allow'],
        includeRequestHeadersInCheck: exact(asked?.['allowed_headers']),
        headersToUpstreamOnAllow: exact(
          asked?.['http_service']?.['authorization_response']?.['allowed_upstream_headers'],
        ),
      },
    })
  })

  test("Envoy Gateway's", () => {
    const [, client, security, backend] = recipe('envoy-gateway.yaml')
    expect(client?.['spec']?.['headers']?.['earlyRequestHeaders']?.['remove']).toEqual(
      mutation?.['typed_config']?.['mutations']?.['request_mutations']?.map((one) => one['remove']),
    )
    expect(security?.['spec']?.['extAuth']).toMatchObject({
      failOpen: asked?.['failure_mode_allow'],
      headersToExtAuth: exact(asked?.['allowed_headers']),
      http: {
        path: asked?.['http_service']?.['path_prefix'],
        headersToBackend: exact(
          asked?.['http_service']?.['authorization_response']?.['allowed_upstream_headers'],
        ),
      },
    })
    const policy = application?.['load_balancing_policy']?.['policies']?.[0]?.['typed_extension_config']
    expect(backend?.['spec']?.['loadBalancer']?.['endpointOverride']?.['extractFrom']).toEqual(
      policy?.['typed_config']?.['override_host_sources'],
    )
  })
})

/** The headers of a list of matchers. */
function exact(matchers: Tree | undefined): unknown {
  return matchers?.['patterns']?.map((pattern) => pattern['exact'])
}
