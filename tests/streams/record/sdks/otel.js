import { ZoneContextManager } from "@opentelemetry/context-zone"
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http"
import { registerInstrumentations } from "@opentelemetry/instrumentation"
import { FetchInstrumentation } from "@opentelemetry/instrumentation-fetch"
import { UserInteractionInstrumentation } from "@opentelemetry/instrumentation-user-interaction"
import { BatchSpanProcessor, WebTracerProvider } from "@opentelemetry/sdk-trace-web"
import { createSessionSpanProcessor } from "@opentelemetry/web-common"

const session = Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("")
new WebTracerProvider({
  spanProcessors: [
    createSessionSpanProcessor({ getSessionId: () => session }),
    { // the page of each span
      onStart: (span) => span.setAttribute("browser.document.url.full", location.href),
      onEnd() {}, forceFlush: async () => {}, shutdown: async () => {},
    },
    new BatchSpanProcessor(new OTLPTraceExporter({ url: `${window.INTAKE}/v1/traces` })),
  ],
}).register({ contextManager: new ZoneContextManager() })
registerInstrumentations({
  instrumentations: [
    new UserInteractionInstrumentation({ eventNames: ["click", "submit"] }),
    new FetchInstrumentation({ ignoreUrls: [window.INTAKE] }),
  ],
})
