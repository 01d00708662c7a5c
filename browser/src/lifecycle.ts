/** The page is hidden, shown, left. */

import { flushHidden } from "./delivery";
import { listen } from "./guard";
import { leaving } from "./navigation";
import { abortOpen } from "./network";
import { record, state } from "./record";
import { answered } from "./responded";
import { announce, isLastTab, joinTabs } from "./session";

export function startLifecycle(): void {
  joinTabs();
  listen(document, "visibilitychange", () => {
    if (document.hidden) answered(); // by a new tab or another application
    record("visibility", { state: document.visibilityState });
    if (document.hidden) flushHidden();
  });
  listen<PageTransitionEvent>(window, "pagehide", ({ persisted }) => {
    answered();
    abortOpen();
    announce("bye");
    if (!persisted && !leaving.elsewhere && isLastTab()) record("session_end", {});
    state.running &&= persisted; // nothing comes after the end, not even that the page is hidden now
    flushHidden();
  });
  listen<PageTransitionEvent>(window, "pageshow", ({ persisted }) => persisted && announce("hello"));
}
