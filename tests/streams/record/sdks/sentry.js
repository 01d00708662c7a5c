import * as Sentry from "@sentry/browser"

Sentry.init({
  dsn: "https://any@sentry.invalid/1",
  tunnel: window.INTAKE,
  integrations: [Sentry.replayIntegration()],
  replaysSessionSampleRate: 1.0,
})
