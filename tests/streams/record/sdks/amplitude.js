import * as amplitude from "@amplitude/analytics-browser"

amplitude.init("any", {
  serverUrl: `${window.INTAKE}/2/httpapi`,
  fetchRemoteConfig: false,
  autocapture: {
    elementInteractions: true,
    pageViews: true,
    formInteractions: true,
    sessions: true,
    frustrationInteractions: true,
    networkTracking: { ignoreHosts: [new URL(window.INTAKE).host], captureRules: [{ statusCodeRange: "400-599" }] },
  },
})
