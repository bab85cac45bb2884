// The public address of the JavaScript SDK: /client.js. Its code is in sdk/.

export * from './sdk/client.js';
