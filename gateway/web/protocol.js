// The public address of the protocol constants: /protocol.js. Its code is in sdk/.

export * from './sdk/protocol.js';
