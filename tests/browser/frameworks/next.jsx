// The same with what docs/browser.md shows for Next.js. Next itself is not installed (its compiler alone is larger than all frameworks
// here): next-navigation.js and next-script.jsx do what its documentation says of them.
import { createRoot } from "react-dom/client";
import { FurrowRoute } from "./next-route";
import { FurrowScript } from "./next-layout";
import { goTo, usePathname } from "next/navigation";

const pay = () => fetch("/api/orders", { method: "POST" });
const To = ({ id, href }) => <a id={id} href={href} onClick={(event) => { event.preventDefault(); goTo(href); }}>{id}</a>;
const Shop = () => (
  <>
    <FurrowScript />
    <FurrowRoute />
    <To id="order" href="/orders/4711" /> <To id="product" href="/shop/tea/first-flush" /> <To id="files" href="/files/a/b" />
    <button id="pay" onClick={pay}>Pay at {usePathname()}</button>
  </>
);
createRoot(document.getElementById("app")).render(<Shop />);
