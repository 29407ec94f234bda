export interface Signal<T = any> { value: T; peek(): T; subscribe(fn: (value: T) => void): () => void }
export interface ReadonlySignal<T = any> { readonly value: T; peek(): T; subscribe(fn: (value: T) => void): () => void }
export function signal<T>(value: T): Signal<T>;
export function computed<T>(fn: () => T): ReadonlySignal<T>;
export function effect(fn: () => void | (() => void)): () => void;
export function batch<T>(fn: () => T): T;
export function untracked<T>(fn: () => T): T;
export function useSignal<T>(value: T): Signal<T>;
export function useComputed<T>(fn: () => T): ReadonlySignal<T>;
export function useSignalEffect(fn: () => void | (() => void)): void;
export function useState<T>(initial: T | (() => T)): [T, (next: T | ((old: T) => T)) => void];
export function useEffect(fn: () => void | (() => void), deps?: any[]): void;
export function useLayoutEffect(fn: () => void | (() => void), deps?: any[]): void;
export function useMemo<T>(fn: () => T, deps?: any[]): T;
export function useCallback<T>(fn: T, deps?: any[]): T;
export function useRef<T>(initial: T): { current: T };
export function useContext<T>(context: any): T;
export function useId(): string;
export function createContext<T>(value: T): any;
export function createRef<T>(): { current: T | null };
export function h(type: any, props?: any, ...children: any[]): any;
export function render(vnode: any, into: Element): void;
export const Fragment: any;
export const options: any;
export function html(strings: TemplateStringsArray, ...values: any[]): any;
