// The types of wit/job.wit, which documents every item.

export interface Staging {
  changes?: boolean;
  deletions?: boolean;
  parents?: boolean;
  portions?: boolean;
}

export interface Setting {
  name: string;
  doc: string;
  required: boolean;
  secret: boolean;
  shapesRecords: boolean;
  stages: Staging;
  default?: string;
  example?: string;
}

export interface Description {
  name: string;
  version: string;
  summary: string;
  settings: Setting[];
  stages: Staging;
}

export interface Window {
  start: string;
  end: string;
}

export interface Request {
  state?: string;
  window?: Window;
  fullRefresh: boolean;
}

export interface Report {
  extent: 'everything' | 'changes' | 'nothing-new';
  state: string;
  cursor?: string | undefined;
  pages: bigint;
  fetched: bigint;
  staged: bigint;
  deleted: bigint;
  rejected: bigint;
  more: boolean;
}

export interface Problem {
  setting: string;
  message: string;
}

export interface Detail {
  message: string;
  status?: number | undefined;
  retryAfterSeconds?: bigint | undefined;
}

// What `run` throws.
export type Failure =
  | { tag: 'settings'; val: Problem[] }
  | { tag: 'denied' | 'refused' | 'unavailable' | 'protocol' | 'data' | 'output'; val: Detail };
