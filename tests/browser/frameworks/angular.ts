// A small shop with Angular's router and Zone.js; `nameRoutes` is that of docs/browser.md. Compiled in the browser, without decorators.
import "zone.js";
import "@angular/compiler";
import { Component, inject, provideZoneChangeDetection } from "@angular/core";
import { bootstrapApplication } from "@angular/platform-browser";
import { provideRouter, Router, RouterLink, RouterOutlet } from "@angular/router";
import { nameRoutes } from "./furrow-route";

class PageClass {
  async pay() {
    await Promise.resolve();
    await fetch("/api/orders", { method: "POST" });
  }
}
const Page = Component({ selector: "shop-page", template: `<button id="pay" (click)="pay()">Pay</button>` })(PageClass) ?? PageClass;

class ShopClass {
  constructor() {
    nameRoutes(inject(Router));
  }
}
const template = `
  <a id="order" routerLink="/orders/4711">Order</a> <a id="product" routerLink="/shop/tea/first-flush">Tea</a>
  <a id="files" routerLink="/files/a/b">Files</a>
  <router-outlet />`;
const Shop = Component({ selector: "app-root", template, imports: [RouterLink, RouterOutlet] })(ShopClass) ?? ShopClass;

const routes = [
  { path: "", component: Page },
  { path: "orders", children: [{ path: ":id", component: Page }] },
  { path: "shop/:category/:slug", component: Page },
  { path: "files", children: [{ path: "**", component: Page }] },
];
bootstrapApplication(Shop, { providers: [provideZoneChangeDetection(), provideRouter(routes)] });
