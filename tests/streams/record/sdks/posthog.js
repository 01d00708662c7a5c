import posthog from "posthog-js/dist/module.full.no-external"

posthog.init("phc_any", {
  api_host: window.INTAKE,
  session_recording: {
    recordHeaders: true, // PostHog records the method of a request only together with its headers
    maskCapturedNetworkRequestFn: (request) => ({ ...request, requestHeaders: undefined, responseHeaders: undefined }),
  },
})
