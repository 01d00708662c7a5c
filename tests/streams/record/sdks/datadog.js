import { datadogRum } from "@datadog/browser-rum"

datadogRum.init({
  applicationId: "00000000-0000-4000-8000-000000000001",
  clientToken: "pub00000000000000000000000000000000",
  service: "shop",
  proxy: window.INTAKE,
  trackUserInteractions: true,
  trackResources: true,
  trackLongTasks: true,
})
