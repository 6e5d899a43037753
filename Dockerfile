# The image of ringman; docs/image.md says how to run it and how to build it.

# Where Node.js and npm come from. Of this image only the program `node` gets into the result: no npm, no headers.
ARG NODE_IMAGE=docker.io/library/node:24-bookworm-slim
# What the result is built on. It needs glibc and libstdc++ that fit the node above, and /usr/bin/env.
ARG BASE_IMAGE=docker.io/library/debian:bookworm-slim

# A registry of your own: docker build --secret id=npmrc,src=$HOME/.npmrc . (nothing of it gets into a layer).
FROM ${NODE_IMAGE} AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
COPY tools/node/package.json tools/node/
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc --mount=type=cache,target=/root/.npm \
    npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY tools/build.ts tools/lighten-chunks.ts tools/prune-modules.ts tools/
COPY src src
RUN npm run build && node tools/prune-modules.ts dist

FROM ${NODE_IMAGE} AS dependencies
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
COPY tools/node/package.json tools/node/
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc --mount=type=cache,target=/root/.npm \
    npm ci --ignore-scripts --omit=dev
COPY tools/prune-modules.ts tools/
RUN node tools/prune-modules.ts node_modules

FROM ${BASE_IMAGE}
COPY --from=build /usr/local/bin/node /usr/local/bin/node
COPY --from=build /usr/local/LICENSE /usr/local/share/doc/node/LICENSE
COPY LICENSE package.json /opt/ringman/
COPY --from=dependencies /build/node_modules /opt/ringman/node_modules
COPY --from=build /build/dist /opt/ringman/dist
RUN ["ln", "--symbolic", "/opt/ringman/dist/cli.js", "/usr/local/bin/ringman"]

# Also where /tmp can be written, no compiled code is kept there to be run by the next process. New objects get 4 MB and not
# up to 16: nearly nothing of a request lives on, so that it costs no rate (bench/memory). Buffers come from one heap of the C
# library: of several, what one thread takes and V8's sweeper frees in another piles up, 40 MB and more under batches. Pieces
# of 32 KiB and more lie outside that heap and are given back at once: those that V8's compiler takes left 4 MB of holes in it.
ENV NODE_ENV=production NODE_DISABLE_COMPILE_CACHE=1 NODE_OPTIONS=--max-semi-space-size=4 MALLOC_ARENA_MAX=1 MALLOC_MMAP_THRESHOLD_=32768
# Nobody: no name, no home, no files of its own. All of the above belongs to root and is read-only to it.
USER 65532:65532
# Look-ups, admin port, gossip.
EXPOSE 8080/tcp 8081/tcp 7946/tcp 7946/udp
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 CMD ["ringman", "healthcheck"]
ENTRYPOINT ["ringman"]
CMD ["serve"]

# Last, so that they cost no layer its place in the cache.
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="ringman" \
      org.opencontainers.image.description="Which instance owns this key? A gossiped consistent hash ring." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
