// A small shop with React Router; `FurrowRoute` is that of docs/browser.md.
import { createRoot } from "react-dom/client";
import { createBrowserRouter, Link, Outlet, RouterProvider } from "react-router-dom";
import { FurrowRoute } from "./furrow-route";

const pay = () => fetch("/api/orders", { method: "POST" });
const Shop = () => (
  <>
    <FurrowRoute />
    <Link id="order" to="/orders/4711">Order</Link> <Link id="product" to="/shop/tea/first-flush">Tea</Link>
    <Link id="files" to="/files/a/b">Files</Link>
    <Outlet />
  </>
);
const Page = () => <button id="pay" onClick={pay}>Pay</button>;
const children = ["/", "orders/:id", "shop/:category/:slug", "files/*"].map((path) => ({ path, element: <Page /> }));
const router = createBrowserRouter([{ path: "/", element: <Shop />, errorElement: <Shop />, children }]);
createRoot(document.getElementById("app")).render(<RouterProvider router={router} />);
