// `<Script strategy="afterInteractive">`: makes a script element with the other properties as attributes, when the page has begun to run.
import { useEffect } from "react";

export default function Script({ strategy, ...attributes }) {
  useEffect(() => {
    const element = document.createElement("script");
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    document.body.appendChild(element);
  }, []);
  return null;
}
