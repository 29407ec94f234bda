export class Graph {
  constructor(options?: any);
  setGraph(label: any): void;
  setDefaultEdgeLabel(fn: () => any): void;
  setNode(id: string, label: any): void;
  setEdge(from: string, to: string, label: any, name?: string): void;
  node(id: string): { x: number; y: number; width: number; height: number };
}
export function layout(graph: Graph): void;
