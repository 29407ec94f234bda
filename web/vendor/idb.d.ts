export function get<T = any>(key: string, store?: any): Promise<T | undefined>;
export function set(key: string, value: any, store?: any): Promise<void>;
export function del(key: string, store?: any): Promise<void>;
export function keys(store?: any): Promise<string[]>;
export function entries<T = any>(store?: any): Promise<[string, T][]>;
export function createStore(db: string, name: string): any;
