// A small shop with Vue Router; `nameRoutes` is that of docs/browser.md.
import { createApp, h } from "vue";
import { createRouter, createWebHistory, RouterLink, RouterView } from "vue-router";
import { nameRoutes } from "./furrow-route";

const pay = () => fetch("/api/orders", { method: "POST" });
const Page = { render: () => h("button", { id: "pay", onClick: pay }, "Pay") };
const routes = ["/", "/orders/:id", "/shop/:category/:slug", "/files/:path+"].map((path) => ({ path, component: Page }));
routes.push({ path: "/members/:id", component: Page, beforeEnter: () => false });
const router = createRouter({ history: createWebHistory(), routes });
nameRoutes(router);
const links = { order: "/orders/4711", product: "/shop/tea/first-flush", files: "/files/a/b", members: "/members/7" };
const Shop = {
  render: () => [...Object.entries(links).map(([id, to]) => h(RouterLink, { id, to }, () => id)), h(RouterView)],
};
createApp(Shop).use(router).mount("#app");
