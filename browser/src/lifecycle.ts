/** The page is hidden, shown, left. */

import { flushHidden, resume, schedule } from "./delivery";
import { listen } from "./guard";
import { leavesElsewhere } from "./navigation";
import { abortOpen } from "./network";
import { record, state } from "./record";
import { answered } from "./responded";
import { announce, isLastTab, joinTabs } from "./session";

export const startLifecycle = (): void => {
  joinTabs();
  listen(window, "visibilitychange", () => {
    record("visibility", { state: document.visibilityState });
    if (document.hidden) {
      answered(); // by a new tab or another application
      flushHidden();
    } else resume();
  });
  listen<PageTransitionEvent>(window, "pagehide", (event) => {
    answered();
    abortOpen();
    announce("bye");
    if (!event.persisted && !leavesElsewhere && isLastTab()) record("session_end", {});
    state.$running &&= event.persisted; // nothing comes after the end, not even that the page is hidden now
    flushHidden();
  });
  listen(window, "online", () => schedule(0));
};
