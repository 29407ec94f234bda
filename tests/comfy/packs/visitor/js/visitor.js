export const visitor = 1
