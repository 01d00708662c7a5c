/** Short forms of what several parts ask of the page. */

export const isElement = (node: unknown): node is Element => node instanceof Element;

/** A node of a mutation, or the element around it. */
export const elementOf = (node: Node): Element | null => (isElement(node) ? node : node.parentElement);

/** What an event hit, within shadow trees, too. */
export const hitBy = (event: Event): EventTarget | undefined => event.composedPath()[0];

export const tagOf = (element: Element): string => element.tagName.toLowerCase();

/** The element, and around it those whose shadow trees hold it. */
export const withHosts = (element: Element): Element[] => {
  const root = element.getRootNode();
  return root instanceof ShadowRoot ? [element, ...withHosts(root.host)] : [element];
};

export const isWeb = (url: { protocol: string }): boolean => /^http/.test(url.protocol);
