export const marked: { parse(text: string, options?: any): string };
export const DOMPurify: {
  sanitize(html: string, options: { RETURN_DOM_FRAGMENT: true; [option: string]: any }): DocumentFragment;
  sanitize(html: string, options?: any): string;
  addHook(name: string, fn: (node: any) => void): void;
};
