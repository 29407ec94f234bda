export interface Info { idx: number[]; ranges: number[][] }
export default class uFuzzy {
  constructor(options?: any);
  search(haystack: string[], needle: string, outOfOrder?: number, infoThresh?: number): [number[] | null, Info | null, number[] | null];
}
