import posthog from "posthog-js/dist/module.full.no-external"

posthog.init("phc_any", { api_host: window.INTAKE })
