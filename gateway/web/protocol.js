// The public address of the wire's names, codes and types: /protocol.js. The file is in sdk/.

export * from './sdk/protocol.js';
